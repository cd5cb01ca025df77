"""Errors of gd2po. Each is also the standard-library class that a caller would expect to catch."""


class GD2POError(Exception):
    """Base class of every error that gd2po raises on purpose."""


class InvalidInputError(GD2POError, ValueError):
    """An argument has the wrong shape, range or content."""


class InvalidTypeError(GD2POError, TypeError):
    """An argument has the wrong type."""


class MissingDependencyError(GD2POError, ImportError):
    """An optional dependency is needed and not installed."""


class RewardFunctionError(GD2POError, RuntimeError):
    """A reward function raised or returned something that is not one score per completion."""


class DataFormatError(GD2POError, ValueError):
    """A data set or file does not hold what it has to hold."""


class ConfigError(GD2POError, ValueError):
    """A recipe, configuration file or command-line option is wrong."""


class RunFolderError(GD2POError, FileExistsError):
    """The output folder holds another run."""


class DiskFullError(GD2POError, OSError):
    """No space is left to write to."""


class OutputWriteError(GD2POError, OSError):
    """Outputs of an evaluation cannot be written; what was written before is whole."""
