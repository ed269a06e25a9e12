"""From a data set as loaded to its three sources, resident on the device or read by workers."""

from __future__ import annotations

from harness.errors import RunError
from harness.workloads.images import ImageFiles, Images, stratified
from harness.workloads.open_loader import loaders_from_files, loaders_from_memory
from harness.workloads.open_resident import brought_to, decoded, resident_sources
from harness.workloads.pictures import size_of
from harness.workloads.place import Opened, Place

RESIDENT_BYTES = 4 * 2**30
"""Up to this size, as float32, a data set lives on the device unless the study says otherwise."""


def open_sources(loaded: Images | ImageFiles, place: Place) -> Opened:
    """Split off the validation set, normalise by the training set, and lay it all out.

    Raises:
        RunError: A picture cannot be read, or the settings do not fit the data.
    """
    choice = place.choice
    parts = stratified(loaded.train_labels, choice.validation_share)
    if _is_resident(loaded, place):
        if isinstance(loaded, ImageFiles):
            loaded = decoded(loaded, choice.image_size)
        return resident_sources(brought_to(loaded, choice.image_size), *parts, place)
    if isinstance(loaded, ImageFiles):
        return loaders_from_files(loaded, *parts, place)
    return loaders_from_memory(loaded, *parts, place)


def _is_resident(loaded: Images | ImageFiles, place: Place) -> bool:
    choice, training = place.choice, place.training
    if choice.input == "resident" and training.resized_crop:
        raise RunError(
            "training.resized_crop cuts parts out of whole pictures, which are not resident; set "
            "workload.input to 'loader' or 'auto'"
        )
    if choice.input != "auto":
        return choice.input == "resident"
    if isinstance(loaded, ImageFiles):
        samples = len(loaded.train_files) + len(loaded.test_files)
        channels = 3
        size = size_of(loaded.train_files[0])
    else:
        samples = len(loaded.train_images) + len(loaded.test_images)
        channels = loaded.train_images.shape[1]
        size = loaded.size
    height, width = (choice.image_size or side for side in size)
    return not training.resized_crop and samples * channels * height * width * 4 <= RESIDENT_BYTES
