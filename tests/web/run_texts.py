"""Specs as people write them, well and badly, for the page of a new run."""

# ruff: noqa: E501 - a row is a case

HEAD = """\
# my run
name: base   # the name

"""
SCRIPT = """\
script: |
  # inside of the script
  echo one

  echo two
"""
# (what is written, which field is typed in, what, the lines that go, the lines that come)
CORPUS = [
    (HEAD + SCRIPT, "f.name", "other", ["name: base   # the name"], ["name: other   # the name"]),
    (HEAD + SCRIPT + "cpu: 1 # one\n", "f.cpu", "2", ["cpu: 1 # one"], ["cpu: 2 # one"]),
    (HEAD + SCRIPT + "cpu: '1'\n", "f.cpu", "500m", ["cpu: '1'"], ["cpu: 500m"]),
    (HEAD + SCRIPT + "cpu: 1\n# end\n", "f.cpu", "0.5", ["cpu: 1"], ["cpu: 0.5"]),
    (HEAD + SCRIPT + "memory: 1Gi\n\n# end\n", "f.memory", "16Gi", ["memory: 1Gi"], ["memory: 16Gi"]),
    (HEAD + SCRIPT + "memory: 1Gi\n", "f.memory", "", ["memory: 1Gi"], []),
    (HEAD + SCRIPT, "f.memory", "2Gi", [], ["memory: 2Gi"]),
    (HEAD + SCRIPT + "gpus: 1\n", "f.gpus", "4", ["gpus: 1"], ["gpus: 4"]),
    (HEAD + SCRIPT + "gpus: 1\n", "f.gpus", "many", ["gpus: 1"], ["gpus: many"]),
    (HEAD + SCRIPT + "priority: low\n", "f.priority", "high", ["priority: low"], ["priority: high"]),
    (HEAD + SCRIPT + "pool: a100 # the big one\n", "f.pool", "local", ["pool: a100 # the big one"], ["pool: local # the big one"]),
    (HEAD + SCRIPT + "timeout: 8h\n", "f.timeout", "1h30m", ["timeout: 8h"], ["timeout: 1h30m"]),
    (HEAD + SCRIPT + "grace: 10s\n", "f.grace", "", ["grace: 10s"], []),
    (HEAD + SCRIPT + "image: a/b:1\n", "f.image", "a/b:2", ["image: a/b:1"], ['image: "a/b:2"']),
    (HEAD + SCRIPT + "experiment: x\n", "f.experiment", "y z", ["experiment: x"], ["experiment: y z"]),
    (HEAD + SCRIPT + "tags: [a, b] # two\n", "f.tags", "a b c", ["tags: [a, b] # two"], ["tags: [a, b, c] # two"]),
    (HEAD + SCRIPT + "tags:\n  - a # first\n  - b\n", "f.tags", "a, z", ["  - b"], ["  - z"]),
    (HEAD + SCRIPT + "tags:\n  - a\n", "f.tags", "a, b", [], ["  - b"]),
    (HEAD + SCRIPT + "tags: [a]\n# end\n", "f.tags", "", ["tags: [a]"], []),
    (HEAD + SCRIPT, "f.code", "echo 1\n\necho 3", ["  # inside of the script", "  echo one", "  echo two"], ["  echo 1", "  echo 3"]),
    (HEAD + "command: [python, train.py] # go\n", "f.code", "python other.py --x 'a b'", ["command: [python, train.py] # go"], ['command: [python, other.py, "--x", a b] # go']),
    (HEAD + "command:\n  - python # it\n  - a.py\n", "f.code", "python b.py", ["  - a.py"], ["  - b.py"]),
    (HEAD + "parameters:\n  lr: 0.1   # rate\n  o: adam\n" + SCRIPT, "p.0.value", "0.3", ["  lr: 0.1   # rate"], ["  lr: 0.3   # rate"]),
    (HEAD + "parameters:\n  lr: 0.1\n  o: adam # how\n" + SCRIPT, "p.1.value", "sgd", ["  o: adam # how"], ["  o: sgd # how"]),
    (HEAD + "parameters:\n  lr: 0.1\n  v: '2'\n" + SCRIPT, "p.1.value", "3", ["  v: '2'"], ['  v: "3"']),
    (HEAD + "parameters:\n  lr: 0.1 # r\n" + SCRIPT, "p.0.name", "rate", ["  lr: 0.1 # r"], ["  rate: 0.1 # r"]),
    (HEAD + "parameters:\n  a: 1\n  # of b\n  b: true\n" + SCRIPT, "p.1.value", "false", ["  b: true"], ["  b: false"]),
    (HEAD + "parameters: {a: 1, b: x}\n" + SCRIPT, "p.0.value", "2", ["parameters: {a: 1, b: x}"], ["parameters: {a: 2, b: x}"]),
    (HEAD + "env:\n  A: b  # of A\n" + SCRIPT, "e.0.value", "1", ["  A: b  # of A"], ['  A: "1"  # of A']),
    (HEAD + "env: {A: b}\n" + SCRIPT, "e.0.value", "x: #y", ["env: {A: b}"], ['env: {A: "x: #y"}']),
    (HEAD + SCRIPT + "retry: {lost: 2, failed: 1}\n", "f.retry.failed", "3", ["retry: {lost: 2, failed: 1}"], ["retry: {lost: 2, failed: 3}"]),
    (HEAD + SCRIPT, "f.retry.failed", "3", [], ["retry:", "  lost: 2", "  failed: 3"]),
    (HEAD + SCRIPT + "unheard_of: {of: [1, 2]} # mine\nmemory: 1Gi\n", "f.memory", "2Gi", ["memory: 1Gi"], ["memory: 2Gi"]),
    (HEAD + SCRIPT + "secrets: [{name: HF_TOKEN, env: HF}]\n", "s.0.env", "HF_TOKEN", ["secrets: [{name: HF_TOKEN, env: HF}]"], ["secrets: [{name: HF_TOKEN, env: HF_TOKEN}]"]),
]  # fmt: skip


# (what is written below a good head, line, field, words of the message, what the remedy makes of it; None for none)
BROKEN = [
    ("memory: 4GB\n", 3, "f-memory", "unknown unit", "memory: 4Gi\n"),
    ("memory: 16G\n", 3, "f-memory", "decimal unit", "memory: 16Gi\n"),
    ("cpu: lots\n", 3, "f-cpu", "not a number of CPU cores", None),
    ("cpu: true\n", 3, "f-cpu", "must be text", "cpu: 1\n"),
    ("timeout: 90\n", 3, "f-timeout", "not a duration", "timeout: 90s\n"),
    ("gpus: '2'\n", 3, "f-gpus", "whole number", "gpus: 2\n"),
    ("gpus: -1\n", 3, "f-gpus", "at least 0", "gpus: 0\n"),
    ("priority: hihg\n", 3, "f-priority", "one of", "priority: high\n"),
    ("tags: one two\n", 3, "f-tags", "must be a list", "tags: [one, two]\n"),
    ("tags: [one two]\n", 3, "f-tags", "does not have the form", "tags: [one-two]\n"),
    ("experiment: my tries\n", 3, "f-experiment", "does not have the form", "experiment: my-tries\n"),
    ("env:\n  A: 3\n", 4, "e-0-value", "must be a text", 'env:\n  A: "3"\n'),
    ("env:\n  B: x\n  9A: x\n", 5, "e-1-name", "not a name for", "env:\n  B: x\n  _9A: x\n"),
    ("env:\n  B: x\n  PATH: x\n", 5, "e-1-value", "set by Berth", "env:\n  B: x\n"),
    ("parameters:\n  a b: 1\n", 4, "p-0-name", "does not have the form", "parameters:\n  a_b: 1\n"),
    ("parameters:\n  a: 1\n  b: [1]\n", 5, "", "must be a text, a number", "parameters:\n  a: 1\n"),
    ("retry: {faild: 1}\n", 3, "f-retry-lost", "one of", "retry: {failed: 1}\n"),
    ("retry: {failed: 50}\n", 3, "f-retry-failed", "at most 20", "retry: {failed: 20}\n"),
    ("memry: 1Gi # m\n", 3, "", "not a field here", "memory: 1Gi # m\n"),
    ("zzz: 1\n", 3, "", "not a field here", ""),
    ("pool: locl\n", 3, "f-pool", "no such pool", "pool: local\n"),
    ("memory: 64Gi\n", 3, "f-memory", "more than the pool has", "memory: 16Gi\n"),
    ("cpu: 64\n", 3, "f-cpu", "more than the pool has", "cpu: 8\n"),
    ("gpus: 8\n", 3, "f-gpus", "more than the pool has", "gpus: 0\n"),
    ("snapshot: " + "a" * 64 + "\n", 3, "", "was not uploaded", ""),
    ("secrets:\n  - {name: HF_TOKN, env: A}\n", 4, "s-0-name", "no secret of this project", "secrets: [{name: HF_TOKEN, env: A}]\n"),
    ("secrets:\n  - {name: HF_TOKEN}\n", 4, "s-0-name", "either env or file", "secrets: [{name: HF_TOKEN, env: HF_TOKEN}]\n"),
    ("command: [ls]\n", 2, "f-code", "either command or script", None),
    ("requirements: r.txt\n", 3, "f-requirements", "there is no snapshot", ""),
    ("name: twice\n", 3, "f-name", "stands twice", ""),
    ("\tcpu: 1\n", 3, "", "tab", None),
    ("experiment: a: b\n", 3, "", "mapping values", 'experiment: "a: b"\n'),
    ("1: x\n", 3, "", "write it in quotes", '"1": x\n'),
    ("tags: [a\n", None, "", "is not YAML", None),
]  # fmt: skip


HOSTILE = [
    "",
    "\0",
    "a: &a [x]\nb: [*a, *a]\n",
    "[" * 5000,
    "x: " + "{a: " * 3000,
    "- " * 5000,
    "a" * 900_000,
    "name: x\n" * 9000,
    "!!python/object/apply:os.system [ls]",
    "%YAML 1.1\n---\nname: x\n",
    "name: x\n---\nname: y\n",
    "name: \ud7ff\uffff\n",
    "name: 1e999\nscript: [[[]]]\nparameters: 5\nenv: [1]\nsecrets: 7\ntags: {a: b}\nretry: no\ncommand: {}\n",
    "name: {a: b}\npool: [x]\nparameters: {? [a] : b}\n",
    "\n".join(f"k{number}: v" for number in range(3000)),
]

HOSTILE_FIELDS: list[dict[str, str]] = [
    {"f.name": "\0"},
    {"f.pool": "\0", "from": ""},
    {"p.0.name": "\0", "p.0.value": "\0"},
    {"p.0.name": "a" * 5000},
    {"s.0.name": "'; drop", "s.0.env": "\ud7ff"},
    {"do": "fix 99999999999999999999 /x"},
    {"do": "fix 0 /nothing"},
    {"do": "fix"},
    {"once": "\0", "f.cpu": "9" * 400},
    {"f.gpus": "٣"},
    {"f.code": "x" * 70_000, "f.program": "nothing"},
    {"f.tags": ", ".join("t" * 70 for _ in range(90))},
    {f"p.{number}.name": f"n{number}" for number in range(600)},
]
