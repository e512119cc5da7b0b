"""A run published in this repository with its bytes: make it, publish it, check it.

A published run is a folder such as ``study``:

- ``results`` is what git tracks of its results: records, metrics, tables;
- ``store`` is a DVC remote with the bytes that are kept, and ``history.bundle``, the
  commits of the workspace, which its records name;
- ``not_kept`` has the patterns of outputs that are not there;
- ``code`` names the commits of this repository that the workspace was made by.

Its params are ``config/<folder>.params.yaml`` of those commits. Images and samples are
not kept: they are made again where something needs them.

All is done by the code of the last of those commits, in workspaces inside the folder.
So a published run stays what it was while the checkout goes on, and nothing calls it
stale.
"""
