"""Loading a Python file again while its handlers run: the workers of the old and the new version."""

import asyncio

import pytest

from agent.handlers.registry import load_registry
from agent.handlers.results import Finished


async def reload(handler_env):
    """Read the directory again and use it, as the agent does at SIGHUP."""
    runner, previous = handler_env.runner, await handler_env.registry()
    registry = await load_registry(handler_env.directory.path, runner, previous)
    runner.activate({spec.file for spec in registry.specs if spec.kind == "python"})
    handler_env._registry = registry
    return registry


async def test_running_command_ends_with_the_old_code_and_the_next_has_the_new(
    handler_env, handler_directory, fifo, wait_all_ended
):
    """The old process ends after the Command that it was running."""
    source = f"""
        @handler("work")
        def work(command):
            with open({str(fifo.path)!r}, "w") as file: print(os.getpid(), file=file)
            while not os.path.exists({str(handler_directory.path / ".go")!r}): time.sleep(0.01)
            return "VERSION"
        """
    handler_directory.write_python("work.py", source.replace("VERSION", "old"))
    running = asyncio.create_task(handler_env.run("work"))
    old = await fifo.read_process()
    handler_directory.write_python("work.py", source.replace("VERSION", "new"))
    await reload(handler_env)
    waiting = asyncio.create_task(handler_env.run("work"))
    (handler_directory.path / ".go").touch()
    assert (await running, await waiting) == (Finished("old"), Finished("new"))
    await old.wait_ended()


async def test_command_between_load_and_activate_has_the_old_code(handler_env, handler_directory):
    """A version takes effect with `activate`, when the agent knows all handlers."""
    handler_directory.write_python("work.py", '@handler("work")\ndef work(command): return "old"\n')
    assert await handler_env.run("work") == Finished("old")
    file = handler_directory.write_python("work.py", '@handler("work")\ndef work(command): return "new"\n')
    await handler_env.runner.load(file)
    assert await handler_env.run("work") == Finished("old")
    handler_env.runner.activate([file])
    assert await handler_env.run("work") == Finished("new")


@pytest.mark.parametrize("broken", ["def work(:\n", "import no_such_module\n"], ids=["syntax", "import"])
async def test_version_that_cannot_be_loaded_leaves_the_old_one_in_use(
    handler_env, handler_directory, broken
):
    """Its mistake is reported, other files are taken, and a corrected version replaces the old one."""
    handler_directory.write_python("work.py", '@handler("work")\ndef work(command): return "old"\n')
    assert await handler_env.run("work") == Finished("old")
    handler_directory.write_python("work.py", broken)
    handler_directory.write_executable("extra", "echo extra")
    registry = await reload(handler_env)
    assert await handler_env.run("work") == Finished("old")
    assert await handler_env.run("extra") == Finished("extra")
    assert registry.unusable["work.py"][0].endswith(
        "; the version that was loaded before stays in use; correct the file and reload"
    )
    handler_directory.write_python("work.py", '@handler("work")\ndef work(command): return "new"\n')
    assert (await reload(handler_env)).unusable == {}
    assert await handler_env.run("work") == Finished("new")


async def test_worker_of_a_removed_file_ends(handler_env, handler_directory, fifo):
    """Its words are unknown then, and its process does not stay."""
    source = f"""
        @handler("work")
        def work(command):
            with open({str(fifo.path)!r}, "w") as file: print(os.getpid(), file=file)
        """
    file = handler_directory.write_python("work.py", source)
    await handler_env.run("work")
    worker = await fifo.read_process()
    file.unlink()
    registry = await reload(handler_env)
    assert "work" not in registry.trigger_names
    await worker.wait_ended()
