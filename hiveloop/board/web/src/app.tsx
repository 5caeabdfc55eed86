// The frame of all pages: top bar, page, keyboard help.
import { useEffect } from "preact/hooks";
import { refused } from "./data/api";
import { helpOpen } from "./data/keys";
import { PAGES, param, path } from "./data/router";
import { AgentPage } from "./pages/agent";
import { CostsPage } from "./pages/costs";
import { FleetPage } from "./pages/fleet";
import { InsightsPage } from "./pages/insights";
import { PipelinePage } from "./pages/pipeline";
import { TaskPage } from "./pages/task";
import { Help } from "./parts/help";
import { TopBar } from "./parts/topbar";

const VIEWS = {
  "/": FleetPage,
  "/task": TaskPage,
  "/agent": AgentPage,
  "/pipeline": PipelinePage,
  "/costs": CostsPage,
  "/insights": InsightsPage,
} as const;

export function App() {
  const page = path.value;
  const subject = page === "/task" || page === "/agent" ? param("id") : "";
  const View = VIEWS[page];
  useEffect(() => {
    document.title = `${subject || PAGES[page]} · HiveBoard`;
  }, [page, subject]);
  return (
    <>
      <a class="skip" href="#page">
        Skip to the page
      </a>
      <TopBar />
      <main id="page" tabIndex={-1} class={`page page-${PAGES[page].toLowerCase()}`}>
        {refused.value ? <Refused /> : <View key={subject} />}
      </main>
      {helpOpen.value && <Help />}
    </>
  );
}

function Refused() {
  return (
    <div class="teach refused" role="alert">
      <h1>This browser is not signed in</h1>
      <p>
        The board lets in the browser that it opened itself. Run <code>hiveloop board</code> once more, or use the link that it
        printed: a link works once.
      </p>
    </div>
  );
}
