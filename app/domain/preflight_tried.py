"""Checks of a cluster by what was tried there: pods, quotas, policies and the secret that pulls images."""

from app.domain.preflight_facts import Facts, Finding, Status
from app.errors import N_

START_WARN = 30.0


def judge_pod_security(facts: Facts) -> Finding:
    """Whether it refuses what it should, and takes what Berth makes."""
    if facts.is_privileged_refused is None or facts.restricted_refusal is None:
        return Finding(
            "POD_SECURITY",
            Status.UNKNOWN,
            N_("Whether Pod Security is in force could not be tried."),
            N_("Let Berth's account create namespaces and pods."),
        )
    if not facts.is_privileged_refused:
        return Finding(
            "POD_SECURITY",
            Status.FAIL,
            N_('A privileged pod was accepted in a namespace with Pod Security "restricted".'),
            N_("Enable the admission plugin PodSecurity of the API server; it is on unless it was turned off."),
        )
    if facts.restricted_refusal:
        return Finding(
            "POD_SECURITY",
            Status.FAIL,
            N_("A pod as Berth makes them was refused: {error}"),
            N_("See which webhook or policy refuses it, and except namespaces with the label berth.dev/install."),
            {"error": facts.restricted_refusal},
        )
    return Finding(
        "POD_SECURITY",
        Status.OK,
        N_('Pod Security "restricted" refuses a privileged pod and accepts one as Berth makes them.'),
    )


def judge_quota(facts: Facts) -> Finding:
    """Whether quotas are counted."""
    if facts.is_quota_counted is None:
        return Finding(
            "QUOTA",
            Status.UNKNOWN,
            N_("Whether quotas of namespaces are counted could not be tried."),
            N_("Let Berth's account create namespaces and resourcequotas."),
        )
    if not facts.is_quota_counted:
        return Finding(
            "QUOTA",
            Status.FAIL,
            N_("A ResourceQuota was made and nobody counted what it limits."),
            N_("See that the controller manager runs, with its resourcequota controller."),
        )
    return Finding("QUOTA", Status.OK, N_("Quotas of namespaces are counted."))


def judge_network_policy(facts: Facts) -> Finding:
    """Whether policies are known, and enforced."""
    if facts.has_network_policies is False:
        return Finding(
            "NETWORK_POLICY",
            Status.FAIL,
            N_("The API server knows no NetworkPolicy: projects cannot be kept apart on the network."),
            N_("Enable the API group networking.k8s.io/v1."),
        )
    if facts.pod is None or facts.pod.denied_reached is None or facts.has_network_policies is None:
        return Finding(
            "NETWORK_POLICY",
            Status.UNKNOWN,
            N_("Whether the network enforces policies could not be tried."),
            N_("It is tried with two short pods: mend what keeps them from running, and check again."),
        )
    if facts.pod.denied_reached:
        return Finding(
            "NETWORK_POLICY",
            Status.WARN,
            N_("The network does not enforce policies: a pod that one cuts off reached the name service."),
            N_(
                "Use a network plugin that enforces NetworkPolicy; until then all pods of the cluster reach each other."
            ),
        )
    return Finding(
        "NETWORK_POLICY", Status.OK, N_("The network enforces policies: a pod that one cuts off got nowhere.")
    )


def judge_pull_secret(facts: Facts) -> Finding:
    """Whether it is there and of its kind."""
    slots = {"secret": facts.pull_secret, "error": facts.pull_secret_trouble or ""}
    if not facts.pull_secret:
        return Finding("PULL_SECRET", Status.OK, N_("No pull secret is set: images are pulled without signing in."))
    if facts.pull_secret_trouble is None:
        return Finding(
            "PULL_SECRET",
            Status.UNKNOWN,
            N_("Berth could not look at the pull secret {secret}."),
            N_("Let Berth's account get secrets in that namespace."),
            slots,
        )
    if facts.pull_secret_trouble:
        return Finding(
            "PULL_SECRET",
            Status.FAIL,
            N_("The pull secret {secret} cannot be used: {error}"),
            N_("Make it with `kubectl create secret docker-registry`, or set another."),
            slots,
        )
    return Finding("PULL_SECRET", Status.OK, N_("The pull secret {secret} is there."), "", slots)


def judge_pod_start(facts: Facts) -> Finding:
    """Whether a pod ran, and how soon."""
    pod = facts.pod
    if pod is None or not pod.image:
        return Finding(
            "POD_START",
            Status.UNKNOWN,
            N_("No pod was tried, as no image is set."),
            N_("Set the runtime image in the cluster's settings."),
        )
    slots = {"seconds": round(pod.seconds or 0.0, 1), "patience": round(pod.patience), "image": pod.image}
    slots["error"] = pod.trouble
    if pod.seconds is None and pod.is_pull_trouble:
        return Finding(
            "POD_START",
            Status.FAIL,
            N_("The image {image} could not be pulled: {error}"),
            N_("See that nodes reach the registry, that the name is right, and that a pull secret is set if it asks."),
            slots,
        )
    if pod.seconds is None:
        return Finding(
            "POD_START",
            Status.FAIL,
            N_("A pod did not run within {patience} s: {error}"),
            N_("Mend what the message names: room, taints, the network plugin, or the node itself."),
            slots,
        )
    if pod.seconds > START_WARN:
        return Finding(
            "POD_START",
            Status.WARN,
            N_("A pod took {seconds} s from its creation until its program ran."),
            N_("See whether that is the pull of the image or a new node; keep images small and near."),
            slots,
        )
    return Finding(
        "POD_START", Status.OK, N_("A pod took {seconds} s from its creation until its program ran."), "", slots
    )


def judge_dns(facts: Facts) -> Finding:
    """Whether a pod found a name."""
    found = facts.pod.dns if facts.pod is not None else None
    if found is None:
        return Finding(
            "DNS",
            Status.UNKNOWN,
            N_("Whether pods can look names up was not found out."),
            N_("It is tried in a short pod: mend what keeps that from running, and check again."),
        )
    if found:
        return Finding(
            "DNS",
            Status.FAIL,
            N_("A pod could not look up kubernetes.default.svc: {error}"),
            N_("See that the pods of the cluster's DNS run and that pods reach them on port 53."),
            {"error": found},
        )
    return Finding("DNS", Status.OK, N_("A pod looked up kubernetes.default.svc."))


def judge_callback(facts: Facts) -> Finding:
    """Whether a pod reached Berth."""
    slots = {"url": facts.berth_url}
    if not facts.berth_url:
        return Finding(
            "BERTH_URL",
            Status.FAIL,
            N_("It is not set where pods reach Berth: runs could fetch no code and report nothing."),
            N_("Set the address of Berth as pods of this cluster see it."),
        )
    found = facts.pod.reaches_berth if facts.pod is not None else None
    if found is None:
        return Finding(
            "BERTH_URL",
            Status.UNKNOWN,
            N_("Whether pods reach {url} was not found out."),
            N_("It is tried in a short pod: mend what keeps that from running, and check again."),
            slots,
        )
    if found:
        return Finding(
            "BERTH_URL",
            Status.FAIL,
            N_("A pod could not reach Berth at {url}: {error}"),
            N_("Set the address of Berth as pods of this cluster see it, and let firewalls pass it."),
            slots | {"error": found},
        )
    return Finding("BERTH_URL", Status.OK, N_("A pod reached Berth at {url}."), "", slots)


def judge_clean(facts: Facts) -> Finding:
    """Whether what the check made is gone."""
    if facts.left_behind:
        return Finding(
            "CLEAN_UP",
            Status.WARN,
            N_("The namespace {namespace} of this check could not be removed."),
            N_("Remove it with `kubectl delete namespace {namespace}`, and see what holds it."),
            {"namespace": facts.left_behind},
        )
    return Finding("CLEAN_UP", Status.OK, N_("What the check made is being removed."))
