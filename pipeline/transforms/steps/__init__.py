"""Steps of augmentation that albumentations lacks, or does not do as the papers do; one module each."""
