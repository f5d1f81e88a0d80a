"""What every plugin must satisfy, and a report of whether it does.

``falbench check`` runs the checks in a process of its own (``process``); tests of a plugin call
``fal_bench.check`` (``runner``). A check is a plain function in one of the modules ``*_checks``.
"""
