"""Runs TensorZero's gateway from its PyPI package; started by the interpreter that has it, which has nothing of ours.

PYTHON tensorzero_host.py CONFIG URL_FILE
"""

import sys
import threading
from pathlib import Path

import openai
import tensorzero

client = tensorzero.patch_openai_client(openai.OpenAI(api_key="unused"), config_file=sys.argv[1], async_setup=False)
Path(sys.argv[2]).write_text(str(client.base_url))
threading.Event().wait()
