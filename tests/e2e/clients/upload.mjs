// Uploads a file with tus-js-client: node upload.mjs ENDPOINT TOKEN FILE [OPTIONS as JSON]
import { createReadStream, statSync } from "node:fs";
import { PassThrough } from "node:stream";
import tus from "tus-js-client";

const [endpoint, token, file, more = "{}"] = process.argv.slice(2);
const options = JSON.parse(more);
// Of a pipe the client does not know where it ends, as it does of a file.
const source = options.uploadLengthDeferred ? createReadStream(file).pipe(new PassThrough()) : createReadStream(file);
const upload = new tus.Upload(source, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "from-node.bin" },
  uploadSize: statSync(file).size,
  chunkSize: 8 * 1024 * 1024,
  retryDelays: [0, 200, 500, 1000, 2000],
  onError(error) {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess() {
    console.log(upload.url);
  },
  ...options,
});
upload.start();
