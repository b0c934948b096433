"""What the API server does with finalizers, for the clusters in memory."""

from typing import Any

from setpoint.reconcile.ports import Key, ResourceGone
from setpoint.resources.common import FINALIZER, Managed


class Finalizers:
    """Objects that stay until nothing holds them."""

    objects: dict[Key, dict[str, Any]]

    def delete(self, key: Key, moment: str = "2026-01-01T00:00:00Z") -> None:
        """Delete an object as `kubectl delete` does: at once, or when its last finalizer goes."""
        metadata = self.objects[key]["metadata"]
        if not metadata.get("finalizers"):
            del self.objects[key]
            return
        going = {**metadata, "deletionTimestamp": moment, "generation": metadata["generation"] + 1}
        self.objects[key] = {**self.objects[key], "metadata": going}

    async def hold(self, resource: Managed) -> None:
        """Put the finalizer on."""
        key, metadata = self._metadata(resource)
        if FINALIZER in metadata.get("finalizers", []):
            return
        if "deletionTimestamp" in metadata:
            raise ResourceGone("is being deleted")
        held = {**metadata, "finalizers": [*metadata.get("finalizers", []), FINALIZER]}
        self.objects[key] = {**self.objects[key], "metadata": held}

    async def release(self, resource: Managed) -> None:
        """Take the finalizer off."""
        key, metadata = self._metadata(resource)
        rest = [name for name in metadata.get("finalizers", []) if name != FINALIZER]
        if not rest and "deletionTimestamp" in metadata:
            del self.objects[key]
        else:
            self.objects[key] = {**self.objects[key], "metadata": {**metadata, "finalizers": rest}}

    def _metadata(self, resource: Managed) -> tuple[Key, dict[str, Any]]:
        meta = resource.metadata
        key = Key(resource.kind(), meta.namespace, meta.name)
        if key not in self.objects or self.objects[key]["metadata"]["uid"] != meta.uid:
            raise ResourceGone("gone")
        return key, self.objects[key]["metadata"]


def identity(objects: dict[Key, dict[str, Any]], key: Key) -> tuple[str, int] | None:
    """Return uid and generation of an object."""
    metadata = objects.get(key, {}).get("metadata")
    return None if metadata is None else (metadata["uid"], metadata["generation"])
