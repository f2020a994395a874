"""A copy of all objects of one kind that carry Berth's label, kept up to date by one list and one watch.

What is asked of a cluster is answered from here, so that its cost does not grow with what else runs there. The copy
says how old it is: who decides from it can tell an empty cluster from one that does not answer.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubernetes_api import Api, Gone, Raw

log = structlog.get_logger(__name__)

_FIRST_SECONDS = 10.0  # that the first list may take
_MOST_DEPARTED = 5_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class Mirror:
    """The objects at `path` by uid, as `keep` cut them down. `changed` is set whenever one of them is different."""

    def __init__(
        self,
        api: Api,
        path: str,
        selector: str,
        changed: threading.Event,
        keep: Callable[[Raw], Raw],
        keeps: Callable[[Raw], bool] = lambda _: False,
    ) -> None:
        """`keeps`: whether an object is still told of when it is deleted, as it was last."""
        self._api, self._path, self._selector = api, path, selector
        self._changed, self._keep, self._keeps = changed, keep, keeps
        self._departed: OrderedDict[str, Raw] = OrderedDict()
        self._objects: dict[str, Raw] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()  # by the watch, since its own last list
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._listed = threading.Event()
        self._begun_at = time.monotonic()
        self._heard_at: float | None = None
        self.lists = 0
        self._thread = threading.Thread(target=self._follow, name=f"mirror {api.name} {path}", daemon=True)
        self._thread.start()

    def objects(self, within: float) -> list[Raw]:
        """All objects, as of at most `within` seconds ago. Raises ClusterUnavailable where they are older."""
        self._listed.wait(max(self._begun_at + _FIRST_SECONDS - time.monotonic(), 0.0))
        with self._lock:
            if self._heard_at is None or time.monotonic() - self._heard_at > within:
                raise ClusterUnavailable(f"{self._api.name} has not told of {self._path} for {within:g} s")
            return [*self._objects.values(), *self._departed.values()]

    def refresh(self) -> None:
        """Lists everything now, beside the watch, which may be silent without anybody knowing. Where the watch has told
        something newer meanwhile, that counts. Raises ClusterUnavailable."""
        try:
            found, version = self._read()
        except Gone as error:
            raise ClusterUnavailable(f"{self._api.name}: the list took too long") from error
        with self._lock:
            known = self._objects
            made = {
                uid: known[uid] if _is_older(one, known.get(uid)) else one
                for uid, one in found.items()
                if uid not in self._deleted
            }
            as_of: Raw = {"metadata": {"resourceVersion": version}}
            made |= {uid: one for uid, one in known.items() if uid not in found and _is_older(as_of, one)}
            self._objects, self._heard_at = made, time.monotonic()
            self.lists += 1
        self._changed.set()

    def close(self) -> None:
        """Ends with the next thing heard."""
        self._ended.set()

    def _follow(self) -> None:
        pause, version = _FIRST_PAUSE, None
        while not self._ended.is_set():
            try:
                version = version or self._list()
                version = self._watch(version)
                pause = _FIRST_PAUSE
            except Gone:
                version = None
            except (ClusterUnavailable, ClusterRejected) as error:
                log.warning("cluster does not tell what changes", cluster=self._api.name, error=str(error))
                # What happened meanwhile may be lost to a watch that begins anew.
                version = None
                self._ended.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:
                log.exception("watching failed", cluster=self._api.name, path=self._path)
                version = None
                self._ended.wait(_LONGEST_PAUSE)

    def _read(self) -> tuple[dict[str, Raw], str]:
        """(all objects by uid, as of which version)."""
        found: dict[str, Raw] = {}
        version = ""
        for page in self._api.list_pages(self._path, labelSelector=self._selector):
            version = page["metadata"]["resourceVersion"]
            found.update((one["metadata"]["uid"], self._keep(one)) for one in page["items"])
        return found, version

    def _list(self) -> str:
        found, version = self._read()
        with self._lock:
            self._objects, self._heard_at = found, time.monotonic()
            self._deleted.clear()  # a cluster that was put back to an older state may know them again
            self.lists += 1
        self._listed.set()
        self._changed.set()
        return version

    def _watch(self, version: str) -> str:
        for event in self._api.watch(self._path, version, labelSelector=self._selector):
            found = event["object"]
            version = found["metadata"]["resourceVersion"]
            with self._lock:
                self._heard_at = time.monotonic()
                if event["type"] == "BOOKMARK":
                    continue
                uid = found["metadata"]["uid"]
                if event["type"] == "DELETED":
                    self._objects.pop(uid, None)
                    self._deleted[uid] = None
                    if len(self._deleted) > _MOST_DEPARTED:
                        self._deleted.popitem(last=False)
                    self._note_departed(uid, self._keep(found))
                elif not _is_older(found, self._objects.get(uid)):
                    self._objects[uid] = self._keep(found)
            self._changed.set()
            if self._ended.is_set():
                break
        return version

    def _note_departed(self, uid: str, found: Raw) -> None:
        if self._keeps(found):
            self._departed[uid] = found
            while len(self._departed) > _MOST_DEPARTED:
                self._departed.popitem(last=False)


def _is_older(found: Raw, known: Raw | None) -> bool:
    """An event that was told late. Versions of one object grow (API server, etcd revisions, KEP-5504)."""
    if known is None:
        return False
    new, old = found["metadata"]["resourceVersion"], known["metadata"]["resourceVersion"]
    return new.isdigit() and old.isdigit() and int(new) < int(old)
