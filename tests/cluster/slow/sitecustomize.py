"""Loaded by jobs of the cluster tests: training waits a little at every iteration.

Only while the file named by DASH_TEST_SLOW exists, so that a test decides when a
training may end, however fast the machine is. Bytes do not depend on it.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time


class _Patch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Wraps Job.stop_requested when runledger.job is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "runledger.job":
            return None
        sys.meta_path.remove(self)
        self.spec = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.machinery.ModuleSpec(name, self, origin=self.spec.origin)

    def create_module(self, spec):
        spec.submodule_search_locations = self.spec.submodule_search_locations
        return None

    def exec_module(self, module):
        self.spec.loader.exec_module(module)
        original = module.Job.stop_requested

        def stop_requested(job):
            if os.path.exists(os.environ["DASH_TEST_SLOW"]):
                time.sleep(0.25)
            return original(job)

        module.Job.stop_requested = stop_requested


if "DASH_TEST_SLOW" in os.environ:
    sys.meta_path.insert(0, _Patch())
