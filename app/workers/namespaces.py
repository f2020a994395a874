"""The namespaces of projects in one cluster: made and looked after, and deleted with their project; and keys to look
into them. No session is open during a call to the cluster."""

import json
import uuid
from typing import TYPE_CHECKING

import structlog

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubeconfig import Connection
from app.db import read_session, unit_of_work
from app.domain.clusters import ClusterSettings
from app.domain.pod_egress import parse_egress
from app.services import cluster_registries, namespace_drift, project_kubeconfigs, project_namespaces
from app.services.leases import Term, fence
from app.services.sealing import CannotOpen
from app.settings import get_settings
from app.workloads.namespaces import PullSecret, Tenancy, fingerprint

if TYPE_CHECKING:
    from app.clusters.kubernetes_api import Api
    from app.clusters.namespaces import Ensured

log = structlog.get_logger(__name__)

MENDED_SECONDS = 30.0
"""Until what an admin has to mend is tried again."""
_NOT_LISTED = 50  # pull secrets looked at in one round, as Berth may list none


class Namespaces:
    """Those of one cluster, by one connection."""

    def __init__(self, api: "Api", cluster_id: uuid.UUID, settings: ClusterSettings, install: str) -> None:
        self.api, self._cluster_id, self._settings, self._install = api, cluster_id, settings, install

    def tenancy(self, project_id: str, namespace: str, pull_secret: PullSecret | None) -> Tenancy:
        """What Berth wants of a project's namespace. Raises ClusterUnavailable where settings are missing."""
        url = self._settings.berth_url or get_settings().web.url
        if not url:
            raise ClusterUnavailable(f"cluster {self.api.name} has not been told its address of Berth", MENDED_SECONDS)
        egress = parse_egress(self._settings.egress)
        return Tenancy(self._install, project_id, namespace, url.rstrip("/"), pull_secret, egress)

    def pull_secret(self) -> PullSecret | None:
        """What signs in at registries: what Berth was given for the cluster, else what the setting names in it. Raises
        ClusterUnavailable."""
        from app.clusters.namespaces import find_pull_secret

        try:
            with read_session() as session:
                given = cluster_registries.open_pull_secret(session, self._cluster_id)
        except CannotOpen as error:
            raise ClusterUnavailable(f"{self.api.name}: registry credentials: {error}", MENDED_SECONDS) from error
        return given or find_pull_secret(self.api, self._settings.pull_secret)

    def ensure(self, tenancy: Tenancy, term: Term | None = None) -> "Ensured":
        """Makes the namespace as it should be, and records what was not, unless it is Berth that wants something else
        now. Raises ClusterUnavailable, FenceLost."""
        from app.clusters.namespaces import ensure_namespace

        project_id, wanted = uuid.UUID(tenancy.project_id), fingerprint(tenancy)
        with read_session() as session:
            before = project_namespaces.find_fingerprint(session, project_id, self._cluster_id)
        made = ensure_namespace(self.api, tenancy)
        if before == wanted and not made.repairs:
            return made
        with unit_of_work() as session:
            if term is not None:
                fence(session, term)
            project_namespaces.record_applied(session, project_id, self._cluster_id, wanted)
            if before == wanted:
                found = [(one.difference, one.trouble) for one in made.repairs]
                namespace_drift.record(session, self._cluster_id, project_id, tenancy.namespace, found)
        if before == wanted:
            objects = sorted({one.difference.object for one in made.repairs})
            log.warning("a namespace was changed", namespace=tenancy.namespace, objects=objects)
        return made

    def resync(self, term: Term, turn: int) -> int:
        """Looks at all that were made, and puts right what is not as it should be. `turn` is the first of those whose
        pull secrets are looked at; the next one is returned. Raises ClusterUnavailable, ClusterRejected, FenceLost."""
        from app.clusters.kubernetes_api import Gone
        from app.clusters.namespaces import find_suspects

        with read_session() as session:
            rows = project_namespaces.list_applied(session, self._cluster_id)
        if not rows:
            return 0
        pull_secret = self.pull_secret()
        tenancies = {row.name: self.tenancy(str(row.project_id), row.name, pull_secret) for row in rows}
        suspects = {row.name for row in rows if row.fingerprint != fingerprint(tenancies[row.name])}
        if pull_secret is not None:
            turn = turn if turn < len(rows) else 0
            suspects |= {row.name for row in rows[turn : turn + _NOT_LISTED]}
            turn += _NOT_LISTED
        try:
            suspects |= set(find_suspects(self.api, tenancies))
        except Gone as error:
            raise ClusterUnavailable(f"{self.api.name}: a list took too long") from error
        for name in sorted(suspects):
            try:
                self.ensure(tenancies[name], term)
            except ClusterUnavailable as error:
                log.info("a namespace cannot be put right", namespace=name, error=str(error))
        return turn

    def delete_gone(self, term: Term) -> None:
        """Goes on with the deletion of those whose project is deleted. Raises ClusterUnavailable, FenceLost."""
        from app.clusters.namespaces import delete_namespace

        with read_session() as session:
            names = project_namespaces.list_deleting(session, self._cluster_id)
        for name in names:
            if delete_namespace(self.api, name, self._install):
                with unit_of_work() as session:
                    fence(session, term)
                    project_namespaces.record_gone(session, name)
                log.info("a namespace is gone", namespace=name)

    def make_kubeconfigs(self, term: Term, connection: Connection) -> None:
        """Makes those that were asked for. Raises ClusterUnavailable, FenceLost."""
        from app.clusters.kubernetes_api import NotThere
        from app.clusters.namespaces import kubeconfig_text, viewer_token

        with unit_of_work() as session:
            project_kubeconfigs.forget_old(session, self._cluster_id)
        with read_session() as session:
            asked = project_kubeconfigs.list_asked(session, self._cluster_id)
        for one in asked:
            try:
                token, until = viewer_token(self.api, one.namespace, one.hours * 3600)
            except (ClusterRejected, NotThere) as error:
                with unit_of_work() as session:
                    project_kubeconfigs.record_failed(session, term, one.id, str(error))
                continue
            name = f"{self.api.name}-{one.project}"
            where = connection.server, connection.ca, connection.server_name
            content = json.dumps(kubeconfig_text(*where, one.namespace, token, name), indent=2) + "\n"
            with unit_of_work() as session:
                project_kubeconfigs.record_made(session, term, one.id, content, until)
