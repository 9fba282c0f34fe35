// Uploads a file with tus-js-client: node upload.mjs ENDPOINT TOKEN FILE
import { createReadStream, statSync } from "node:fs";
import tus from "tus-js-client";

const [endpoint, token, file] = process.argv.slice(2);
const upload = new tus.Upload(createReadStream(file), {
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
});
upload.start();
