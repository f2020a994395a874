"""Why a pod waits or ended, in words: title, sentence with slots, the cause in general, and what to do, for each code
that app/clusters/pod_findings.py finds and a process on this machine does not have."""

from app.errors import N_

_PULL = N_("The node's container runtime fetches the image before the program starts.")
_LATER = N_("The run starts by itself when there is room. Stop it, or ask for less.")
_AGAIN = N_("Run it again. A retry policy for lost attempts does that by itself.")
_ADMINS = N_("Show the sentence to an administrator of the cluster; Berth tries on meanwhile.")
_NODES = N_("Kubernetes' scheduler found no node for the pod.")
_TAKEN = N_("Kubernetes took the pod from its node while the program ran.")

POD_REASONS: dict[str, tuple[str, str, str, str]] = {
    "ADMISSION_REFUSED": (
        N_("Refused by a policy of the cluster"),
        N_("The cluster's admission policy refuses the pod: {message}"),
        N_("The cluster's administrators allow only certain pods, and this one is none of them."),
        N_("Change what the sentence names and submit it again, or ask the cluster's administrators."),
    ),
    "CONTAINER_NOT_MADE": (
        N_("The container cannot be made"),
        N_("The container cannot be made: {message}"),
        N_("Something that the container refers to is not there yet."),
        _ADMINS,
    ),
    "EVICTED": (
        N_("Evicted"),
        N_("The pod was evicted from its node: {message}"),
        N_("The node was short of memory or disk, or was being emptied for maintenance."),
        _AGAIN,
    ),
    "IMAGE_NOT_FOUND": (
        N_("Image not found"),
        N_("There is no image {image}."),
        _PULL,
        N_("Correct the image's name and tag, or push it, and submit the run again."),
    ),
    "IMAGE_NOT_PULLED": (
        N_("The image cannot be pulled"),
        N_("The image {image} cannot be pulled: {message}"),
        _PULL,
        N_(
            "Where the registry is only away for a while, run it again later; else show the sentence to an administrator."
        ),
    ),
    "INIT_FAILED": (
        N_("Preparing it failed"),
        N_("What comes before the program failed ({container}, exit code {exit_code}): {message}"),
        N_("Before the program starts, its code is fetched from Berth and its packages are installed."),
        N_("Correct what the sentence names. Where packages are installed, the cluster needs a way to their index."),
    ),
    "INIT_OOM_KILLED": (
        N_("Out of memory before it started"),
        N_("What comes before the program ({container}) used more memory than the run asked for."),
        N_("Fetching the code and installing packages has as much memory as the program."),
        N_("Submit it again with more memory."),
    ),
    "NAMESPACE_QUOTA": (
        N_("The namespace's quota is used up"),
        N_("The quota {quota} of the namespace is used up: asked {asked}, used {used} of {limit}."),
        N_("An administrator of the cluster bounds what the pods of this namespace may use."),
        _LATER,
    ),
    "NODES_CORDONED": (
        N_("Nodes take no new pods"),
        N_("{affected} of {nodes} nodes take no new pods: {message}"),
        _NODES,
        _ADMINS,
    ),
    "NODES_FAR_FROM_VOLUME": (
        N_("Nodes cannot reach its volume"),
        N_("{affected} of {nodes} nodes cannot reach its volume: {message}"),
        _NODES,
        _ADMINS,
    ),
    "NODES_NOT_MATCHING": (
        N_("Nodes are not of its pool"),
        N_("{affected} of {nodes} nodes are not of its pool: {message}"),
        _NODES,
        _ADMINS,
    ),
    "NODES_SHORT": (
        N_("Nodes are full"),
        N_("{affected} of {nodes} nodes have too little {resource} free: {message}"),
        _NODES,
        _LATER,
    ),
    "NODES_SHORT_OF_CPU": (
        N_("Nodes are short of CPU"),
        N_("{affected} of {nodes} nodes have too little CPU free: {message}"),
        _NODES,
        _LATER,
    ),
    "NODES_SHORT_OF_GPUS": (
        N_("Nodes are short of GPUs"),
        N_("{affected} of {nodes} nodes have too few GPUs free: {message}"),
        _NODES,
        _LATER,
    ),
    "NODES_SHORT_OF_MEMORY": (
        N_("Nodes are short of memory"),
        N_("{affected} of {nodes} nodes have too little memory free: {message}"),
        _NODES,
        _LATER,
    ),
    "NODES_TAINTED": (
        N_("Nodes are kept for others"),
        N_("{affected} of {nodes} nodes have a taint that it does not tolerate: {message}"),
        _NODES,
        _ADMINS,
    ),
    "NODE_LOST": (
        N_("Node lost"),
        N_("Its node {node} was lost."),
        N_("The node fell silent or was removed, and with it the pod."),
        _AGAIN,
    ),
    "NODE_SILENT": (
        N_("Node silent"),
        N_("Its node {node} does not answer. Whether it still runs there is not known."),
        N_("The node fell silent. A new attempt begins only when it is certain that this one has ended."),
        N_("An administrator brings the node back, removes it, or taints it as node.kubernetes.io/out-of-service."),
    ),
    "NODE_REFUSED": (
        N_("Refused by the node"),
        N_("The node refused the pod: {message}"),
        N_("The node had less room than Kubernetes' scheduler thought."),
        _AGAIN,
    ),
    "NO_PACKAGE_INDEX": (
        N_("No way to the package index"),
        N_("Its packages cannot be installed, as no package index can be reached from the pod: {message}"),
        N_(
            "Pods reach only what the cluster's network policies let them reach, and the index of packages is not there."
        ),
        N_("Take an image that has the packages, or ask the cluster's administrators for a way to an index."),
    ),
    "POD_DELETED": (
        N_("Pod deleted"),
        N_("Its pod was deleted, not by Berth."),
        N_("Somebody, or a program, deleted the pod in the cluster."),
        _AGAIN,
    ),
    "POD_FAILED": (
        N_("Pod failed"),
        N_("Its pod failed: {message}"),
        _TAKEN,
        _AGAIN,
    ),
    "POD_NOT_MADE": (
        N_("The pod cannot be made"),
        N_("The pod cannot be made: {message}"),
        N_("The API server does not take the pod."),
        _ADMINS,
    ),
    "POD_SECURITY_REFUSED": (
        N_("Refused by Pod Security"),
        N_("The namespace's Pod Security refuses the pod: {message}"),
        N_("Namespaces of projects take only pods that pass Pod Security 'restricted'."),
        _ADMINS,
    ),
    "PREEMPTED": (
        N_("Preempted"),
        N_("A pod of higher priority took its place: {message}"),
        _TAKEN,
        _AGAIN,
    ),
    "PROGRAM_NOT_FOUND": (
        N_("Program not found"),
        N_("There is no program '{program}' in the image."),
        N_("The first word of the command is neither in the image nor in the code that was sent."),
        N_("Correct the command, or take an image that has the program, and submit it again."),
    ),
    "PULL_SECRET_MISSING": (
        N_("Pull secret missing"),
        N_("The registry refuses {image}, and the pull secret is missing: {message}"),
        _PULL,
        N_("An administrator names the registry's credentials among the settings of the cluster."),
    ),
    "REGISTRY_REFUSED": (
        N_("Refused by the registry"),
        N_("The registry refuses the image {image}: {message}"),
        _PULL,
        N_(
            "Correct the image's name; for a private one an administrator gives the cluster credentials of its registry."
        ),
    ),
    "SANDBOX_FAILED": (
        N_("The node cannot make the pod"),
        N_("The node cannot make the pod: {message}"),
        N_("The node's container runtime or its network is out of order."),
        _ADMINS,
    ),
    "SIGNALLED": (
        N_("Ended by a signal"),
        N_("It was ended by {signal_name}."),
        N_(
            "A signal ended the program: its own fault, such as a segmentation fault, or something beside it in the pod."
        ),
        N_("Read its first error line, and the log around it."),
    ),
    "UNSCHEDULABLE": (
        N_("No node takes the pod"),
        N_("No node takes the pod: {message}"),
        _NODES,
        _ADMINS,
    ),
    "VOLUME_MISSING": (
        N_("Volume missing"),
        N_("Its volume {volume} is missing: {message}"),
        N_("The namespace of the project has no volume claim of that name."),
        N_("Correct the volume's name and submit it again."),
    ),
    "VOLUME_NOT_BOUND": (
        N_("Volume not bound"),
        N_("A volume claim that it names has no volume yet: {message}"),
        N_("A claim is bound when somebody, or a storage class, provides a volume for it."),
        _ADMINS,
    ),
    "VOLUME_NOT_MOUNTED": (
        N_("Volume not mounted"),
        N_("Its volume cannot be mounted: {message}"),
        N_("The node could not attach the volume, or it is in use elsewhere."),
        _ADMINS,
    ),
}
NEVER_RAN = frozenset(
    {
        "ADMISSION_REFUSED",
        "CONTAINER_NOT_MADE",
        "IMAGE_NOT_FOUND",
        "IMAGE_NOT_PULLED",
        "INIT_FAILED",
        "INIT_OOM_KILLED",
        "NO_PACKAGE_INDEX",
        "POD_NOT_MADE",
        "POD_SECURITY_REFUSED",
        "PROGRAM_NOT_FOUND",
        "PULL_SECRET_MISSING",
        "REGISTRY_REFUSED",
        "SANDBOX_FAILED",
        "START_FAILED",
    }
)
"""Codes of attempts of which there is no log, since no program ran."""
