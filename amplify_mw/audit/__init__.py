"""`AuditLog`: sign-ins, sign-outs and refusals, as one JSON object a line.

config = AmplifyConfig.from_outputs("amplify_outputs.json", on_event=AuditLog("audit.jsonl"))
"""

from .audit_log import AuditLog as AuditLog
