"""Vision-language-action policies: the interface (`base`) and the backend `tiny`.

`model.load_model` loads a model folder that pretraining has written.
"""
