"""Which chat addresses are let through, and what is shown of them."""

import pytest

from app.domain.chat import NAMES, SERVICES, BadChat, parse

GOOD = {
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ": "Slack …i7FQ",
    "slack://bot@T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ/#general": "Slack …",
    "slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general": "Slack …",
    "workflows://prod-1.logic.azure.com:443/643e69f83c/0KiAcXTnzG8b": "Microsoft Teams prod-1.logic.azure.com …zG8b",
    "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": "Discord …V_js",
    "mmost://localhost:8065/3ccdd1134747223779d3dd4": "Mattermost localhost …3dd4",
    "mmosts://bot@chat.example.org/a/b/3ccdd1134747223779d3dd4": "Mattermost chat.example.org …3dd4",
    "tgram://123456789:abcdefg_hijklmnop/-1001234567890": "Telegram …7890",
    "gchat://AAAAabcd/AIzaSyDdI0hCZtE6vySjMm/Hrkz_8aBcDeF%3D": "Google Chat …F%3D",
    "rockets://AbCdEf/GhIjKlMnOp@chat.example.org/#general": "Rocket.Chat chat.example.org …",
    "zulip://ml-bot@example/abcdefghijklmnop0123456789abcdef/runs": "Zulip …",
    "dingtalk://SEC1234567890@abcdef0123456789": "DingTalk …6789",
    "feishu://11112222-3333-4444-5555-666677778888": "Feishu …8888",
    "lark://11112222-3333-4444-5555-666677778888": "Lark …8888",
    "wecombot://11112222-3333-4444-5555-666677778888": "WeCom …8888",
}
NATIVE = {
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ",
    "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "https://oapi.dingtalk.com/robot/send?access_token=abcdef0123456789": "dingtalk://abcdef0123456789",
    "https://open.feishu.cn/open-apis/bot/v2/hook/1111-2222-3333": "feishu://1111-2222-3333",
    "https://open.larksuite.com/open-apis/bot/v2/hook/1111-2222-3333": "lark://1111-2222-3333",
    "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1111-2222-3333": "wecombot://1111-2222-3333",
    "https://chat.googleapis.com/v1/spaces/AAAAabcd/messages?key=AIzaSyDdI0&token=Hrkz_8aBcDeF": "gchat://AAAAabcd/AIzaSyDdI0/Hrkz_8aBcDeF",
    "https://chat.example.org/hooks/3ccdd1134747223779d3dd4": "mmosts://chat.example.org/3ccdd1134747223779d3dd4",
    "http://10.0.0.9:8065/mm/hooks/3ccdd1134747223779d3dd4": "mmost://10.0.0.9:8065/mm/3ccdd1134747223779d3dd4",
    "https://prod-1.logic.azure.com:443/workflows/643e69f83c/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=0KiAcXTnzG8b": "workflows://prod-1.logic.azure.com:443/643e69f83c/0KiAcXTnzG8b?ver=2016-06-01",
}
BAD = [
    "file:///etc/passwd",
    "exec://ls",
    "dbus://",
    "windows://",
    "syslog://",
    "mailto://u:p@example.org",
    "json://localhost/x",
    "xml://localhost/x",
    "form://localhost/x",
    "apprise://localhost/token12345",
    "apprises://localhost/token12345",
    "mqtt://localhost/x",
    "irc://localhost/x",
    "slack://",
    "slack://T1JJ3T3L2/A1BRTD4JD",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ/#a/#b",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ?template=/etc/passwd",
    "workflows://prod-1.logic.azure.com/643e69f83c8944/0KiAcXTnzG8b?template=/etc/passwd",
    "workflows://prod-1.logic.azure.com/643e69f83c8944/0KiAcXTnzG8b?pa=yes&template=/etc/passwd",
    "mmost://localhost:8065/3ccdd1134747223779d3dd4?to=a,b",
    "mmost://localhost:99999/3ccdd1134747223779d3dd4",
    "mmost://user:pass@localhost/3ccdd1134747223779d3dd4",
    "mmost://local%68ost/3ccdd1134747223779d3dd4",
    "mmost://[::1]/3ccdd1134747223779d3dd4",
    "tgram://123456789:abcdefg_hijklmnop",
    "https://example.org/in",
    "https://hooks.slack.com.example.org/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXri7FQ",
    "https://u:p@chat.example.org/hooks/3ccdd1134747223779d3dd4",
    "https://[",
    "feishu://1111-2222-3333 feishu://x",
    "feishu://1111-2222\r\nHost: x",
    "feishu://１１１１２２２２３３３３",
    "feishu://" + "a" * 2000,
    "slack",
    "",
]


@pytest.mark.parametrize(("address", "shown"), GOOD.items())
def test_addresses_of_services(address: str, shown: str) -> None:
    found = parse(f" {address}/ " if "?" not in address else address)
    assert found.address == address
    assert found.shown == shown


@pytest.mark.parametrize(("given", "address"), NATIVE.items())
def test_what_a_service_hands_out_is_taken_as_it_is(given: str, address: str) -> None:
    assert parse(given).address == address
    assert parse(address).address == address


@pytest.mark.parametrize("address", BAD)
def test_all_else_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(BadChat) as caught:
        parse(address)
    told = str(caught.value) + "".join(caught.value.slots.values())
    assert not any(part in told for part in ("passwd", "TIiaj", "3ccdd", "abcdefg"))


def test_every_service_is_tried() -> None:
    assert {address.partition("://")[0] for address in GOOD} >= set(SERVICES) - {"rocket"}
    assert len(NAMES) == len(set(NAMES)) == 12
