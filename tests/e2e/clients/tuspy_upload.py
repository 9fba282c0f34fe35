"""Uploads a file with tuspy: tuspy_upload.py ENDPOINT TOKEN FILE."""

import sys

from tusclient.client import TusClient

endpoint, token, file = sys.argv[1:]
client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
uploader = client.uploader(file, chunk_size=8 << 20, retries=8, retry_delay=1)
uploader.upload()
print(uploader.url)
