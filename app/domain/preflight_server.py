"""Checks of a cluster by what its API server says."""

from typing import Any

from app.domain.preflight_facts import NEEDED, NEEDLESS, Facts, Finding, Status, permission, some
from app.errors import N_

OLDEST, NEWEST = (1, 29), (1, 34)  # the newest is the one that the tests run on
SLOW_MS, TOO_SLOW_MS = 250.0, 2000.0
CLOCK_WARN, CLOCK_FAIL = 5.0, 60.0  # seconds; tokens of service accounts are refused at about that difference


def judge_reachable(facts: Facts) -> Finding:
    """Whether it answers, and knows Berth."""
    if facts.trouble and facts.is_trouble_of_access:
        return Finding(
            "REACHABLE",
            Status.FAIL,
            N_("The API server does not accept Berth's credentials: {error}"),
            N_("Make a new token or certificate for Berth and rotate the cluster's credentials with it."),
            {"error": facts.trouble},
        )
    if facts.trouble:
        return Finding(
            "REACHABLE",
            Status.FAIL,
            N_("The API server does not answer: {error}"),
            N_("See that its address and CA are right, and that firewalls let Berth's controller through to it."),
            {"error": facts.trouble},
        )
    return Finding("REACHABLE", Status.OK, N_("The API server answers and accepts Berth's credentials."))


def judge_version(facts: Facts) -> Finding:
    """Old enough for none of what Berth needs to be missing, and tested."""
    found = _numbers(facts.version)
    slots = {"version": facts.version, "oldest": _dotted(OLDEST), "newest": _dotted(NEWEST)}
    if found is None:
        return Finding(
            "VERSION",
            Status.UNKNOWN,
            N_("The version {version} is none that Berth can read."),
            N_("Look at `kubectl version`; Berth needs {oldest} or later."),
            slots,
        )
    if found < OLDEST:
        return Finding(
            "VERSION",
            Status.FAIL,
            N_("Kubernetes {version} is older than {oldest}, and what Berth needs of it may be missing."),
            N_("Upgrade the cluster to {oldest} or later."),
            slots,
        )
    if found > NEWEST:
        return Finding(
            "VERSION",
            Status.WARN,
            N_("Kubernetes {version} is newer than {newest}, the newest that this version of Berth was tested on."),
            N_("Try it with a few runs first, or upgrade Berth."),
            slots,
        )
    return Finding("VERSION", Status.OK, N_("Kubernetes {version}."), "", slots)


def judge_permissions(facts: Facts) -> Finding:
    """What Berth must be allowed."""
    needed = [permission(*one) for one in NEEDED]
    missing = [name for name in needed if facts.permissions.get(name) is False]
    if missing:
        return Finding(
            "PERMISSIONS",
            Status.FAIL,
            N_("Berth may not do what it must, {count} of {needed} things: {missing}"),
            N_("Grant these to Berth's account by a ClusterRole; the guide has the whole of it."),
            {"count": len(missing), "needed": len(needed), "missing": some(missing)},
        )
    if any(name not in facts.permissions for name in needed):
        return Finding(
            "PERMISSIONS",
            Status.UNKNOWN,
            N_("The API server did not say what Berth may do."),
            N_("See that Berth's account may create selfsubjectaccessreviews, as all accounts may by default."),
        )
    return Finding(
        "PERMISSIONS", Status.OK, N_("Berth may do all it must: {needed} things."), "", {"needed": len(needed)}
    )


def judge_excess(facts: Facts) -> Finding:
    """What Berth need not be allowed."""
    asked = [permission(*one) for one in NEEDLESS]
    held = [name for name in asked if facts.permissions.get(name)]
    if held:
        return Finding(
            "EXCESS",
            Status.WARN,
            N_("Berth may do more than it needs: {held}"),
            N_("Give Berth an account of its own with the ClusterRole of the guide, and rotate the credentials."),
            {"held": some(["everything" if name == "* *.*" else name for name in held])},
        )
    if any(name not in facts.permissions for name in asked):
        return Finding(
            "EXCESS",
            Status.UNKNOWN,
            N_("The API server did not say what else Berth may do."),
            N_("Look at it with `kubectl auth can-i --list`."),
        )
    return Finding("EXCESS", Status.OK, N_("Berth holds none of the powerful rights that it does not need."))


def judge_latency(facts: Facts) -> Finding:
    """By the middle one of some answers."""
    if not facts.latency_ms:
        return Finding(
            "LATENCY", Status.UNKNOWN, N_("How fast the API server answers was not measured."), N_("Check again.")
        )
    middle = sorted(facts.latency_ms)[len(facts.latency_ms) // 2]
    slots = {"took": round(middle, 1)}
    fix = N_("Look for load on the API server and for the way there; runs start later by a few of these times.")
    if middle > TOO_SLOW_MS:
        says = N_("The API server takes {took} ms to answer: runs will start and end late.")
        return Finding("LATENCY", Status.FAIL, says, fix, slots)
    if middle > SLOW_MS:
        return Finding("LATENCY", Status.WARN, N_("The API server takes {took} ms to answer."), fix, slots)
    return Finding("LATENCY", Status.OK, N_("The API server answers in {took} ms."), "", slots)


def judge_clock(facts: Facts) -> Finding:
    """How far it is from Berth's."""
    if facts.clock_seconds is None:
        return Finding(
            "CLOCK",
            Status.UNKNOWN,
            N_("The API server did not say what time it is."),
            N_("Compare the clocks by hand."),
        )
    apart = abs(facts.clock_seconds)
    slots = {"seconds": round(apart, 1)}
    fix = N_("Let the machines of Berth and of the cluster take their time from the same source (NTP).")
    if apart > CLOCK_FAIL:
        says = N_("The cluster's clock and Berth's are {seconds} s apart: certificates and tokens will be refused.")
        return Finding("CLOCK", Status.FAIL, says, fix, slots)
    if apart > CLOCK_WARN:
        says = N_("The cluster's clock and Berth's are {seconds} s apart, and so are the times of what happened.")
        return Finding("CLOCK", Status.WARN, says, fix, slots)
    return Finding("CLOCK", Status.OK, N_("The cluster's clock and Berth's are {seconds} s apart."), "", slots)


def judge_nodes(facts: Facts) -> Finding:
    """How many take pods."""
    if facts.nodes is None:
        return Finding(
            "NODES",
            Status.UNKNOWN,
            N_("Berth could not list the nodes."),
            N_("Let Berth's account list nodes: pools are sized by them."),
        )
    usable = [node for node in facts.nodes if node.is_ready and not node.is_cordoned]
    other = [node.name for node in facts.nodes if node not in usable]
    slots = {"ready": len(usable), "all": len(facts.nodes), "names": some(other)}
    if not usable:
        return Finding(
            "NODES",
            Status.FAIL,
            N_("None of the {all} nodes takes pods."),
            N_("See `kubectl get nodes`; uncordon nodes, or add some."),
            slots,
        )
    if other:
        return Finding(
            "NODES",
            Status.WARN,
            N_("{ready} of {all} nodes take pods; these do not: {names}"),
            N_("See `kubectl describe node` for why; nothing is to be done where that is meant."),
            slots,
        )
    return Finding("NODES", Status.OK, N_("{ready} of {all} nodes take pods."), "", slots)


def judge_gpus(facts: Facts) -> Finding:
    """Whether machines with GPUs offer them."""
    slots: dict[str, Any] = {"resource": facts.gpu_resource}
    if facts.nodes is None:
        return Finding(
            "GPU_PLUGIN",
            Status.UNKNOWN,
            N_("Whether nodes have GPUs is not known, as Berth could not list them."),
            N_("Let Berth's account list nodes."),
            slots,
        )
    without = [node.name for node in facts.nodes if node.is_gpu_machine and not node.gpus]
    slots |= {"gpus": sum(node.gpus for node in facts.nodes), "names": some(without)}
    if without:
        return Finding(
            "GPU_PLUGIN",
            Status.FAIL,
            N_("These nodes are labelled as GPU machines and offer no {resource}: {names}"),
            N_("Install the device plugin of the GPUs' maker there, and see that its pod runs on each of these nodes."),
            slots,
        )
    if not slots["gpus"]:
        return Finding(
            "GPU_PLUGIN",
            Status.WARN,
            N_("No node offers {resource}: runs that ask for GPUs cannot start here."),
            N_("Install the device plugin of the GPUs' maker, or set the resource's name if it is another."),
            slots,
        )
    return Finding("GPU_PLUGIN", Status.OK, N_("Nodes offer {gpus} of {resource}."), "", slots)


def judge_storage(facts: Facts) -> Finding:
    """Whether there is one default."""
    slots = {"names": some(facts.default_classes or ())}
    if facts.default_classes is None:
        return Finding(
            "STORAGE_CLASS",
            Status.UNKNOWN,
            N_("Berth could not list the storage classes."),
            N_("Let Berth's account list storageclasses."),
        )
    if not facts.default_classes:
        return Finding(
            "STORAGE_CLASS",
            Status.WARN,
            N_("There is no default storage class: volumes of projects must each name one."),
            N_('Mark one with the annotation storageclass.kubernetes.io/is-default-class: "true".'),
        )
    if len(facts.default_classes) > 1:
        return Finding(
            "STORAGE_CLASS",
            Status.WARN,
            N_("More than one storage class is the default: {names}"),
            N_("Leave the annotation storageclass.kubernetes.io/is-default-class on one of them."),
            slots,
        )
    return Finding("STORAGE_CLASS", Status.OK, N_("The default storage class is {names}."), "", slots)


def _numbers(version: str) -> tuple[int, int] | None:
    """v1.34.2-gke.100 -> (1, 34)."""
    major, _, rest = version.removeprefix("v").partition(".")
    minor = rest.partition(".")[0].rstrip("+")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
