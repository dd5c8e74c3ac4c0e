"""The page of `demo`, served by a process of its own, asked by HTTP alone."""

import contextlib
import json
import subprocess
import sys
import time
from typing import Any
import urllib.error
import urllib.request

from benchmarks.lib.runs import free_port
from helpers.commands import ROOT

SETTINGS = ('--sampler=posterior', '--steps=2')
_BOUNDARY = 'a0b1c2d3e4'


@contextlib.contextmanager
def serving(checkpoint, log):
  """Its address while it is served.

  Args:
    checkpoint: of the model.
    log: file that gets what the process prints.
  """
  port = free_port()
  command = [sys.executable, '-m', 'experiments.demo', *SETTINGS]
  command += [f'--checkpoint={checkpoint}', f'--port={port}', '--megapixels=1']
  with open(log, 'w') as file:
    process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
  url = f'http://127.0.0.1:{port}'
  for _ in range(120):
    try:
      urllib.request.urlopen(url, timeout=5)
      break
    except OSError:
      assert process.poll() is None, log.read_text()
      time.sleep(0.5)
  try:
    yield url
    assert process.poll() is None, log.read_text()
  finally:
    process.terminate()
    process.wait(20)


def call(url: str, data: bytes | None = None, kind: str = 'application/json'):
  """Status and bytes of an answer."""
  asked = urllib.request.Request(url, data, {'Content-Type': kind})
  try:
    with urllib.request.urlopen(asked, timeout=60) as reply:
      return reply.status, reply.read()
  except urllib.error.HTTPError as error:
    return error.code, error.read()


def upload(address: str, name: str, content: bytes) -> str:
  """Where the page has put a file."""
  quoted = name.encode('utf-8', 'surrogateescape')
  quoted = quoted.replace(b'"', b'%22').replace(b'\n', b'%0A')
  head = b'Content-Disposition: form-data; name="files"; filename="%s"' % quoted
  edge = f'--{_BOUNDARY}'.encode()
  body = b'\r\n'.join(
    [edge, head, b'Content-Type: image/png', b'', content, edge + b'--', b'']
  )
  kind = f'multipart/form-data; boundary={_BOUNDARY}'
  status, reply = call(f'{address}/gradio_api/upload', body, kind)
  assert status == 200, reply
  return json.loads(reply)[0]


def ask(address: str, session: str, values: list[Any]) -> dict[str, Any]:
  """What the page answers to a press of its button.

  Args:
    address: of `serving`.
    session: a name of its own for each request.
    values: of its controls.

  Returns:
    'success', and the results or an error as 'output'.
  """
  asked = {
    'data': values,
    'fn_index': 0,
    'session_hash': session,
    'event_data': None,
    'trigger_id': None,
  }
  queue = f'{address}/gradio_api/queue'
  status, reply = call(f'{queue}/join', json.dumps(asked).encode())
  assert status == 200, reply
  _, reply = call(f'{queue}/data?session_hash={session}')
  told = [
    json.loads(line.removeprefix('data:'))
    for line in reply.decode().split('\n\n')
    if line.startswith('data:')
  ]
  return next(each for each in told if each['msg'] == 'process_completed')
