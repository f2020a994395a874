"""Trains a classifier on the handwritten digits that ship with scikit-learn, and logs each epoch to Berth.

An ordinary training script: it also runs without Berth. `python train.py --lr 0.1`
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import berth


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to rest after each epoch")
    parser.add_argument("--data", type=Path, help="a .npz file to read the images from instead")
    options = parser.parse_args()

    images, labels = load(options.data)
    split = train_test_split(images / 16.0, labels, test_size=0.25, random_state=0, stratify=labels)
    train_images, test_images, train_labels, test_labels = split
    classes = np.unique(labels)
    print(f"{len(train_labels)} images to train on, {len(test_labels)} to test on, learning rate {options.lr}")

    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=options.lr, random_state=options.seed)
    order = np.random.default_rng(options.seed)
    run = berth.run()
    for epoch in range(1, options.epochs + 1):
        shuffled = order.permutation(len(train_labels))
        model.partial_fit(train_images[shuffled], train_labels[shuffled], classes=classes)
        loss = float(log_loss(train_labels, model.predict_proba(train_images), labels=classes))
        accuracy = float(model.score(test_images, test_labels))
        run.log({"train/loss": loss, "val/accuracy": accuracy}, step=epoch)
        run.progress(epoch, options.epochs)
        print(f"epoch {epoch:3}  train/loss {loss:.4f}  val/accuracy {accuracy:.4f}", flush=True)
        time.sleep(options.pause)

    output = Path(os.environ.get("BERTH_OUTPUT", "."))
    np.savez(output / "model.npz", coefficients=model.coef_, intercepts=model.intercept_, classes=classes)
    print(f"the model is in {output / 'model.npz'}")


def load(data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images as rows of 64 numbers from 0 to 16, and the digit that each shows."""
    if data is None:
        digits = load_digits()
        return digits.data, digits.target
    with np.load(data) as file:  # raises FileNotFoundError: the run that fails asks for a file that is not there
        return file["images"], file["labels"]


if __name__ == "__main__":
    main()
