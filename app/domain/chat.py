"""Addresses of chat services, as apprise writes them or as the services hand them out.

Pure, and apart from apprise itself: pages check what is typed without loading it. What is let through here is one
service of a list, one receiver, and no option: options of apprise can name files and send to more than one place.
"""

import re
from dataclasses import dataclass
from re import Pattern
from urllib.parse import parse_qsl, urlsplit

from app.domain.egress import BadTarget
from app.errors import N_

_LONGEST = 1000
_BOT = r"(?:[A-Za-z0-9._-]{1,80}@)?"
_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))(?P<port>:[0-9]{1,5})?"
_KEY = r"[A-Za-z0-9_-]{8,300}"
_CHANNEL = r"[#+]?[A-Za-z0-9_.-]{1,80}"


@dataclass(frozen=True)
class Service:
    """A chat service: its `name`, what its addresses look like, and what must follow the scheme in one."""

    name: str
    example: str
    rest: Pattern[str]


def _service(name: str, example: str, rest: str) -> Service:
    return Service(name, example, re.compile(rest, re.ASCII))


_MATTERMOST = rf"{_BOT}{_HOST}(?:/[A-Za-z0-9_-]{{1,80}}){{0,5}}/{_KEY}"
_ROCKET = rf"[A-Za-z0-9]{{5,100}}/[A-Za-z0-9]{{5,200}}@{_HOST}(?:/[#@]?[A-Za-z0-9_.-]{{1,80}})?"
# By the scheme of the address. Two schemes of one service differ in whether the connection is encrypted.
SERVICES = {
    "slack": _service(
        "Slack",
        "slack://T…/B…/…",
        rf"{_BOT}[A-Za-z0-9]{{3,40}}/[A-Za-z0-9]{{3,40}}/[A-Za-z0-9]{{8,80}}(?:/{_CHANNEL})?"
        rf"|xox[abp]-[A-Za-z0-9-]{{10,200}}/{_CHANNEL}",
    ),
    "workflows": _service(
        "Microsoft Teams",
        "https://….logic.azure.com/workflows/…",
        rf"{_HOST}/{_KEY}/{_KEY}(?:\?(?:(?:pa=yes|route=[0-9]{{1,20}}|ver=[0-9-]{{1,20}})&?){{1,3}})?",
    ),
    "discord": _service("Discord", "discord://…/…", rf"{_BOT}[0-9]{{5,30}}/{_KEY}"),
    "mmosts": _service("Mattermost", "mmosts://chat.example.org/…", _MATTERMOST),
    "mmost": _service("Mattermost", "mmost://chat.example.org/…", _MATTERMOST),
    "tgram": _service(
        "Telegram",
        "tgram://123456789:…/-100…",
        rf"[0-9]{{5,20}}:{_KEY}/(?:-?[0-9]{{1,32}}|[A-Za-z_][A-Za-z0-9_]{{2,63}})",
    ),
    "gchat": _service("Google Chat", "gchat://…/…/…", rf"[A-Za-z0-9_-]{{3,80}}/{_KEY}/[A-Za-z0-9_%-]{{8,300}}"),
    "rockets": _service("Rocket.Chat", "rockets://…/…@chat.example.org", _ROCKET),
    "rocket": _service("Rocket.Chat", "rocket://…/…@chat.example.org", _ROCKET),
    "zulip": _service(
        "Zulip",
        "zulip://bot@organization/…/channel",
        r"[A-Za-z0-9_-]{1,32}@[A-Za-z0-9_-]{1,32}/[A-Za-z0-9]{32}/[A-Za-z0-9_-]{1,60}",
    ),
    "dingtalk": _service("DingTalk", "dingtalk://SEC…@…", r"(?:[A-Za-z0-9]{8,100}@)?[A-Za-z0-9]{8,100}"),
    "feishu": _service("Feishu", "feishu://…", _KEY),
    "lark": _service("Lark", "lark://…", r"[A-Za-z0-9-]{8,100}"),
    "wecombot": _service("WeCom", "wecombot://…", _KEY),
}
_ALIASES = {"workflow": "workflows"}
NAMES = tuple(dict.fromkeys(service.name for service in SERVICES.values()))


class BadChat(BadTarget):
    """The address cannot be used. The message is for translation with `slots`, which hold nothing of the address."""

    def __init__(self, message: str, **slots: str) -> None:
        super().__init__(message)
        self.slots = slots


@dataclass(frozen=True)
class Chat:
    """A checked address in apprise's form; `host` is one that the user chose, None for the service's own."""

    address: str
    scheme: str
    host: str | None

    @property
    def name(self) -> str:
        """What the service is called."""
        return SERVICES[self.scheme].name

    @property
    def shown(self) -> str:
        """What may be shown of it: the service, a host that is not its own, and an end too short to be of use."""
        end = re.split(r"[/@:]", self.address.partition("?")[0])[-1]
        tail = f"…{end[-4:]}" if len(end) >= 12 else "…"
        return " ".join(part for part in (self.name, self.host, tail) if part)


def parse(text: str) -> Chat:
    """The address taken apart. Raises BadChat, whose text repeats nothing of it."""
    text = text.strip()
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise BadChat(N_("must be an address of at most 1000 visible ASCII characters"))
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if separator and scheme in ("https", "http"):
        scheme, rest = _native(text)
    scheme = _ALIASES.get(scheme, scheme)
    service = SERVICES.get(scheme) if separator else None
    if service is None:
        raise BadChat(N_("is of no chat service that Berth knows: {names}"), names=", ".join(NAMES))
    found = service.rest.fullmatch(rest.rstrip("/"))
    if found is None:
        raise BadChat(
            N_("is not complete for {name}, or has what is not allowed there; it looks like {example}"),
            name=service.name,
            example=service.example,
        )
    parts = found.groupdict()
    if parts.get("port") and not 0 < int(parts["port"][1:]) < 65536:
        raise BadChat(N_("is no address"))
    host = parts.get("host")
    return Chat(f"{scheme}://{found[0]}", scheme, host.lower().rstrip(".") if host else None)


# What services hand out, by host and path, and where the parts go; {x} of the query.
_NATIVE = (
    ("slack", r"hooks\.slack\.com", r"/services/([^/]+/[^/]+/[^/]+)", "{0}"),
    ("discord", r"discord(?:app)?\.com", r"/api/webhooks/([0-9]+/[^/]+)", "{0}"),
    ("dingtalk", r"oapi\.dingtalk\.com", r"/robot/send", "{access_token}"),
    ("feishu", r"open\.feishu\.cn", r"/open-apis/bot/v2/hook/([^/]+)", "{0}"),
    ("lark", r"open\.larksuite\.com", r"/open-apis/bot/v2/hook/([^/]+)", "{0}"),
    ("wecombot", r"qyapi\.weixin\.qq\.com", r"/cgi-bin/webhook/send", "{key}"),
    ("gchat", r"chat\.googleapis\.com", r"/v1/spaces/([^/]+)/messages", "{0}/{key}/{token}"),
    ("mmosts", r"[a-z0-9.-]+(?::[0-9]+)?", r"((?:/[A-Za-z0-9_-]+)*)/hooks/([^/]+)", "{host}{0}/{1}"),
)
_WORKFLOW = re.compile(
    r"(?P<pa>/powerautomate/automations/direct(?:/cu/(?P<route>[0-9]+))?)?"
    r"/workflows/(?P<id>[A-Za-z0-9_-]+)/triggers/manual/paths/invoke/?",
    re.ASCII,
)


def _native(text: str) -> tuple[str, str]:
    """Scheme and rest in apprise's form of what a service shows to be copied; of none, an empty scheme."""
    try:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, max_num_fields=20))
    except ValueError:
        return "", ""
    host = parts.netloc.lower()
    found = _WORKFLOW.fullmatch(parts.path)
    if found is not None and parts.scheme.lower() == "https":
        options = ["pa=yes"] if found["pa"] else []
        options += [f"route={found['route']}"] if found["route"] else []
        options += [f"ver={query['api-version']}"] if "api-version" in query else []
        end = "?" + "&".join(options) if options else ""
        return "workflows", f"{host}/{found['id']}/{query.get('sig', '')}{end}"
    for scheme, host_rule, path_rule, form in _NATIVE:
        match = re.fullmatch(path_rule, parts.path.rstrip("/"), re.ASCII)
        if match is not None and re.fullmatch(host_rule, host, re.ASCII):
            values = {name: query.get(name, "") for name in ("access_token", "key", "token")}
            plain = "mmost" if scheme == "mmosts" and parts.scheme.lower() == "http" else scheme
            return plain, form.format(*match.groups(), host=host, **values)
    return "", ""
