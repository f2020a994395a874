"""The process that stands beside every run on this machine, from before its program starts until after it ended.

It is a process of its own, so that time limits, stops, logs and exit codes hold while all of Berth is down.
It must stay small and start fast: standard library only, nothing of `app` but this folder and
`app.domain.archives`. `app/clusters/local.py` shares `processes`, `cgroups`, `folder` and `sandbox` with it.
"""
