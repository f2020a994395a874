"""Trains a small neural network on the handwritten digits of UCI, and logs each epoch to Berth.

An ordinary training script: `python train.py --lr 0.1` also runs without Berth. The data ship with
scikit-learn; the file is read as it is, which saves the seconds that importing scikit-learn takes.
"""

import argparse
import os
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import berth

Array = NDArray[np.float64]
HIDDEN = 32
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to rest after each epoch")
    parser.add_argument("--data", type=Path, help="digits.csv.gz, where it is not that of scikit-learn")
    options = parser.parse_args()

    train_images, train_labels, test_images, test_labels = split(*load(options.data))
    print(f"{len(train_labels)} images to train on, {len(test_labels)} to test on, learning rate {options.lr}")
    random = np.random.default_rng(options.seed)
    model = new_model(random)
    run = berth.run()
    for epoch in range(1, options.epochs + 1):
        order = random.permutation(len(train_labels))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            descend(model, train_images[batch], train_labels[batch], options.lr)
        likely = probabilities(model, train_images)[np.arange(len(train_labels)), train_labels]
        loss = float(-np.mean(np.log(likely + 1e-12)))
        accuracy = float(np.mean(np.argmax(probabilities(model, test_images), axis=1) == test_labels))
        run.log({"train/loss": loss, "val/accuracy": accuracy}, step=epoch)
        run.progress(epoch, options.epochs)
        print(f"epoch {epoch:3}  train/loss {loss:.4f}  val/accuracy {accuracy:.4f}", flush=True)
        time.sleep(options.pause)

    output = Path(os.environ.get("BERTH_OUTPUT", ".")) / "model.npz"
    np.savez(output, w1=model["w1"], b1=model["b1"], w2=model["w2"], b2=model["b2"])
    print(f"the model is in {output}")


def load(data: Path | None = None) -> tuple[Array, NDArray[np.int64]]:
    """1,797 images of 8 x 8 pixels as rows of 64 numbers from 0 to 1, and the digit that each shows."""
    if data is None:
        found = find_spec("sklearn")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("the data come with scikit-learn: pip install scikit-learn")
        data = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(data, delimiter=",")
    return table[:, :-1] / 16.0, table[:, -1].astype(np.int64)


def split(images: Array, labels: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]:
    """Images and labels to train on, and a quarter of all to test on, always the same."""
    order = np.random.default_rng(0).permutation(len(labels))
    test, train = np.split(order, [len(order) // 4])
    return images[train], labels[train], images[test], labels[test]


def new_model(random: np.random.Generator) -> dict[str, Array]:
    """One hidden layer; weights drawn so that signals keep their size."""
    return {
        "w1": random.normal(0, 1 / 8, (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": random.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, 10)),
        "b2": np.zeros(10),
    }


def probabilities(model: dict[str, Array], images: Array) -> Array:
    """For each image (row) how likely each of the ten digits is."""
    scores = np.tanh(images @ model["w1"] + model["b1"]) @ model["w2"] + model["b2"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely: Array = scores / scores.sum(axis=1, keepdims=True)
    return likely


def descend(model: dict[str, Array], images: Array, labels: NDArray[np.int64], rate: float) -> None:
    """One step of gradient descent on the cross-entropy of a batch; changes the model."""
    hidden = np.tanh(images @ model["w1"] + model["b1"])
    error = probabilities(model, images)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    below = (error @ model["w2"].T) * (1 - hidden**2)
    for name, gradient in (
        ("w2", hidden.T @ error),
        ("b2", error.sum(axis=0)),
        ("w1", images.T @ below),
        ("b1", below.sum(axis=0)),
    ):
        model[name] -= rate * gradient


if __name__ == "__main__":
    main()
