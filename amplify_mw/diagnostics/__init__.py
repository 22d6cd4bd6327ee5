"""Explaining a credential, and examining a configuration: `amplify-mw inspect` and `doctor`."""

from .examination import Examination as Examination
from .examination import examine as examine
