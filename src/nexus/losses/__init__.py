"""What an output costs against a target: pure functions and modules, one file a concept."""
