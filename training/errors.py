"""The exceptions that `training` raises. Each message is one line, written for the user.

TrainingError
├── UsageError                 the request is impossible; the command exits with 2
│   ├── PresetNotFoundError    no preset has this name
│   ├── SettingError           an unknown key, or an invalid value
│   ├── DataNotFoundError      the data set is not in the folder that was searched
│   ├── DeviceError            this machine does not have the requested device
│   └── RunError               the run's folder holds a different run, or no checkpoint
├── DataError                  the data set's files are not in the expected format
├── JudgeError                 a judge is missing, damaged, or does not match its card
├── CheckpointError            a checkpoint could not be written or read
├── DiskSpaceError             a disk has too little space for checkpoints or data
├── TuningError                the study cannot be opened, or no trial finished
├── InterruptedRunError        Ctrl-C; the message says how to resume
├── OutOfMemoryError           the machine has too little memory; the message says what to change
├── NonFiniteLossError         the loss became NaN or infinite
└── NoExactFormError           a network cannot be computed in the exact arithmetic
"""


class TrainingError(Exception):
    """Base class of all errors of `training`."""


class UsageError(TrainingError):
    """The request is impossible."""


class PresetNotFoundError(UsageError):
    """No preset has this name."""


class SettingError(UsageError):
    """An unknown key, or an invalid value."""


class DataNotFoundError(UsageError):
    """The data set is not in the folder that was searched."""


class DeviceError(UsageError):
    """This machine does not have the requested device."""


class RunError(UsageError):
    """The run's folder holds a different run, or no checkpoint to resume from."""


class DataError(TrainingError):
    """The data set's files are not in the expected format."""


class JudgeError(TrainingError):
    """A judge is missing, damaged, or does not match its card."""


class CheckpointError(TrainingError):
    """A checkpoint could not be written or read."""


class DiskSpaceError(TrainingError):
    """A disk has too little space for checkpoints or data."""


class TuningError(TrainingError):
    """The study cannot be opened, or no trial finished."""


class InterruptedRunError(TrainingError):
    """The user pressed Ctrl-C; the message says how to resume."""


class OutOfMemoryError(TrainingError):
    """The machine has too little memory; the message says what to change."""


class NoExactFormError(TrainingError):
    """A network cannot be computed in the exact arithmetic; it can be published in float."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the current weights are unusable."""
