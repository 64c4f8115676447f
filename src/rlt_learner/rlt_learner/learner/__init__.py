"""The learner: transitions of its robots in, versions of the actor out."""
