"""Uploads a file with resumable-upload: ENDPOINT TOKEN FILE PARALLEL"""

import sys

from resumable_upload import TusClient

endpoint, token, file, parallel = sys.argv[1:]
client = TusClient(
    endpoint,
    chunk_size=4 << 20,
    checksum="sha256",
    headers={"Authorization": f"Bearer {token}"},
    override_patch_method=True,
)
print(client.upload_file(file, metadata={"filename": f"resumable-{parallel}.bin"}, parallel_uploads=int(parallel)))
