"""Vision-language-action policies behind one interface (`base`), and the `tiny` one.

`model.load_model` loads what pretraining wrote.
"""
