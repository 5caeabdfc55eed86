// Bundles the pages into ../static (or the folder given by --out): index.html, and assets with their
// hash in the name, so that a browser may keep them for ever.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const option = (name) => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1];
const out = resolve(option("out") ?? join(here, "..", "static"));
const watching = process.argv.includes("--watch");

const settings = {
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: !watching,
  sourcemap: watching ? "inline" : false,
  legalComments: "eof",
  metafile: true,
  write: false,
  outdir: out,
  logLevel: "warning",
};

/** The licences of what is bundled, which ask to be passed on with it. */
async function licenses(metafile) {
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  const texts = [...packages].sort().map(async (name) => {
    const folder = join(here, "node_modules", name);
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name}\n\n${file ? await readFile(join(folder, file), "utf8") : "see its package.json"}`;
  });
  return (await Promise.all(texts)).join("\n\n----\n\n");
}

async function publish(result) {
  const files = result.outputFiles.map(({ path, contents }) => {
    const extension = path.slice(path.lastIndexOf("."));
    const hash = createHash("sha256").update(contents).digest("hex").slice(0, 10);
    return { name: `app-${hash}${extension}`, extension, contents };
  });
  const named = (extension) => files.find((file) => file.extension === extension).name;
  const page = (await readFile(join(here, "index.html"), "utf8"))
    .replace("app.css", named(".css"))
    .replace("app.js", named(".js"));
  files.push({ name: "licenses.txt", extension: ".txt", contents: await licenses(result.metafile) });
  await mkdir(join(out, "assets"), { recursive: true });
  for (const old of await readdir(join(out, "assets"))) {
    if (!files.some(({ name }) => name === old)) await rm(join(out, "assets", old));
  }
  await Promise.all(files.map(({ name, contents }) => writeFile(join(out, "assets", name), contents)));
  await cp(join(here, "src", "icon.svg"), join(out, "assets", "icon.svg"));
  await writeFile(join(out, "index.html"), page); // last: a page never names an asset that is not there yet
}

const publishing = {
  name: "publish",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length === 0) await publish(result);
    });
  },
};

if (watching) {
  const context = await esbuild.context({ ...settings, plugins: [publishing] });
  await context.watch();
} else {
  await esbuild.build({ ...settings, plugins: [publishing] });
}
