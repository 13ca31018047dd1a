"""Tool: the routes that the target serves, and which of them are declared webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class ListRoutes(Tool):
    """Static: read from the code."""

    name = "list_routes"
    group = "API-Testing"
    description = "Lists the service's routes with their handlers, and its declared webhooks."
    playbook_stage = 0

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Methods, path, place, handler of each route."""
        del arguments
        routes = [
            {
                "methods": list(route.methods),
                "path": route.path,
                "handler": f"{route.module.path}:{route.function.node.lineno} {route.function.qualname}",
                "framework": route.framework,
            }
            for route in bench.index.routes
        ]
        webhooks = [
            {"method": hook.method, "path": hook.path, "signed": hook.sign.scheme, "share": hook.share}
            for hook in bench.target.webhooks
        ]
        return Answer(as_json({"routes": routes, "webhooks": webhooks}))
