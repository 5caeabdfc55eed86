import { render } from "preact";
import { App } from "./app";
import { pressed } from "./data/keys";
import { start } from "./data/live";
import { startNotifying } from "./data/notify";
import { followLinks } from "./data/router";
import { readBoard } from "./parts/teach";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import "./styles/lists.css";

document.addEventListener("keydown", pressed);
document.addEventListener("click", followLinks);
void readBoard();
void start();
startNotifying();
const root = document.getElementById("app");
if (root) render(<App />, root);
