"""Pure tensor functions: boxes, masks, non-maximum suppression, matching, sampling. One file a concept."""
