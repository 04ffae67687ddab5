"""The steps of SyncHuman, one file each: a step's declaration, and its work below it."""
