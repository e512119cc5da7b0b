"""Loaded by the programs of the cluster tests, at the start of Python.

Training waits a little at every iteration while the file of DASH_TEST_SLOW exists, so
that a test decides when a training may end, however fast the machine is; bytes do not
depend on it. And the executor looks at the queue every DASH_TEST_POLL seconds; it alone
would look later and later, which is kind to a cluster and slow in a test.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time


def slower(module):
    """Let Job.stop_requested, asked at every iteration, take a while."""
    original = module.Job.stop_requested

    def stop_requested(job):
        if os.path.exists(os.environ["DASH_TEST_SLOW"]):
            time.sleep(0.25)
        return original(job)

    module.Job.stop_requested = stop_requested


def more_often(module):
    """Let every pause between two looks at the queue be the same."""
    seconds = float(os.environ["DASH_TEST_POLL"])
    module.RemoteExecutor.next_seconds_between_status_checks = property(
        lambda executor: seconds, lambda executor, value: None
    )


PATCHES = {
    "runledger.job": ("DASH_TEST_SLOW", slower),
    "snakemake_interface_executor_plugins.executors.remote": (
        "DASH_TEST_POLL",
        more_often,
    ),
}


class _Patch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Changes a module when it is imported."""

    def __init__(self, name, change):
        self.name, self.change = name, change

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        self.spec = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.machinery.ModuleSpec(name, self, origin=self.spec.origin)

    def create_module(self, spec):
        spec.submodule_search_locations = self.spec.submodule_search_locations
        return None

    def exec_module(self, module):
        self.spec.loader.exec_module(module)
        self.change(module)


for module_name, (variable, change) in PATCHES.items():
    if variable not in os.environ:
        continue
    if module_name in sys.modules:
        change(sys.modules[module_name])
    else:
        sys.meta_path.insert(0, _Patch(module_name, change))
