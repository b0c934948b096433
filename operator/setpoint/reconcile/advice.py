"""What somebody can do about each reason a resource or connection is not Ready; the same in every place it is asked for."""

from setpoint.reconcile.conditions import Reason

ADVICE: dict[Reason, str] = {
    Reason.SYNCED: "Nothing: the remote equals the spec.",
    Reason.OBSERVED: "Nothing: the remote equals the spec, and mode Observe writes nothing.",
    Reason.CONNECTED: "Nothing: the remote answers and lets Setpoint in.",
    Reason.APPLYING: "Wait: it is written, and read again until it holds.",
    Reason.QUEUED: "Wait: the API stored it and applies it later; it is only read meanwhile.",
    Reason.PROMOTING: "Wait until the promotion has ended.",
    Reason.NOT_CONVERGED: "Look at the model in Baseten: it was written ten minutes ago and is still not applied.",
    Reason.DRIFT_DETECTED: "Edit the spec or the remote, or set spec.mode to Enforce to have it corrected.",
    Reason.SCHEDULE_ACTIVE: "Nothing: it is corrected when the platform's schedule ends.",
    Reason.SUSPENDED: "Resume it when it is to be kept again (kubectl setpoint resume).",
    Reason.INVALID_SETTINGS: "Correct the spec: the API refused it with the words above.",
    Reason.TARGET_NOT_FOUND: "Correct the ids or names in the spec, or create what they name; the message tells what there is.",
    Reason.CONNECTION_NOT_FOUND: "Create the Connection, Secret or key that the message names; it is used within a minute.",
    Reason.CONNECTION_NOT_ALLOWED: "Use another connection, or have an administrator allow this namespace or host.",
    Reason.AUTHENTICATION_FAILED: "Put a working key into the connection's Secret; it is tried within a minute.",
    Reason.FORBIDDEN: "Use a key that may do this, or give this one the right.",
    Reason.CONFLICT: "Delete one of the two resources; the other takes over at once.",
    Reason.TARGET_RENAMED: "If the new one is meant, edit the spec or set the annotation; else name the old one by its id.",
    Reason.REPEATEDLY_CORRECTED: "Find who else writes it (another cluster, a script, a person), and let one of the two go.",
    Reason.RATE_LIMITED: "Nothing: it is tried again by itself. If it lasts, see who else uses the key, or lengthen intervals.",
    Reason.REMOTE_ERROR: "Nothing: it is tried again by itself. If it lasts, look at the remote.",
    Reason.REMOTE_UNREACHABLE: "Nothing: it is tried again by itself. If it lasts, look at network policies, DNS and the URL.",
    Reason.UNEXPECTED_ANSWER: "Correct the connection's URL: what answers there is not the remote it is said to be.",
    Reason.INTERNAL_ERROR: "Report the traceback in the operator's log; it is tried again by itself.",
}


def advice(reason: str) -> str:
    """Return what to do about a reason, be it one of this version's or not."""
    known = {str(one): text for one, text in ADVICE.items()}
    return known.get(reason, "This version does not know the reason; the message above has to do.")
