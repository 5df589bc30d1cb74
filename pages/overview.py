"""Overview: every lesson at a glance."""

from explainer.ui import overview

overview.show()
