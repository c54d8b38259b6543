"""Print the values of secrets in Secrets Manager as one JSON object, name to value. Usage: secret_values.py NAME...

One process for all: the AWS CLI takes seconds to start, and fetches one secret at a time.
"""

import json
import sys
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

client = cast(Any, boto3).client(
    "secretsmanager",
    config=Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}),
)
values: dict[str, str] = {}
for name in sys.argv[1:]:
    try:
        values[name] = client.get_secret_value(SecretId=name)["SecretString"]
    except (BotoCoreError, ClientError) as error:
        sys.exit(
            f"secret_values: cannot read {name}: {error}; remedy: check the instance profile and that the secret exists"
        )
print(json.dumps(values))
