from __future__ import annotations

import subprocess
import sys

from swarm.config.schema import TOOL_GROUPS
from swarm.tools.registry import all_tools, playbook_charter, tools_for
from tests.strict_server import check_request


def test_every_group_of_the_contract_has_tools():
    assert {tool.group for tool in all_tools()} == set(TOOL_GROUPS)


def test_every_tool_has_a_schema_that_the_messages_api_takes():
    tools = [
        {"name": spec.name, "description": spec.description, "input_schema": spec.input_schema}
        for spec in (tool.spec() for tool in all_tools())
    ]
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "tools": tools}
    assert check_request(body) == []
    assert all(tool["input_schema"]["additionalProperties"] is False for tool in tools)


def test_what_the_playbook_calls_takes_the_arguments_it_gives():
    charter = playbook_charter(all_tools())
    called = [tool for tool in all_tools() if tool.name in charter]
    assert called
    for tool in called:
        given = dict(charter[tool.name].arguments)
        assert tool.arguments.model_validate(given).model_dump(exclude_unset=True) == given


def test_groups_give_their_tools_and_no_others():
    assert {tool.name for tool in tools_for(["Read"])} == {"list_files", "propose_edit", "read_file", "search_code"}
    assert tools_for([]) == ()


def test_importing_the_registry_is_light():
    heavy = "('anthropic', 'aiohttp', 'libcst', 'bandit', 'pyinstrument', 'cryptography', 'jinja2')"
    code = "import sys; from swarm.tools.registry import all_tools; all_tools(); "
    code += f"sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
