"""Its one variant, whose weights nobody publishes."""

CLASSES = ("TinyNet",)

PREPROCESS = {"resize": 32, "crop": (32, 32)}

VARIANTS = {"tinynet_8": {"class_name": "TinyNet", "config": {"width": 8}, "preprocess": PREPROCESS}}

TINY = ({"class_name": "TinyNet", "config": {"num_classes": 5}, "sizes": ((16, 16), (24, 20))},)
