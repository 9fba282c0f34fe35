// Uploads many files with Uppy, without a page: node uppy.mjs ENDPOINT TOKEN COUNT
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

const [endpoint, token, count] = process.argv.slice(2);
const uppy = new Uppy().use(Tus, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  limit: 6,
  retryDelays: [100, 300, 1000],
});
for (let number = 0; number < Number(count); number += 1) {
  const data = Buffer.alloc(100_000 + number, number);
  data.size = data.length; // Uppy measures what it is given like a browser's File
  uppy.addFile({ name: `file ${number}.bin`, type: "application/octet-stream", data });
}
const result = await uppy.upload();
if (result.failed.length > 0) {
  console.error(result.failed.map((file) => String(file.error)));
  process.exit(1);
}
console.log(result.successful.length);
process.exit(0);
