// The frame of all pages: top bar, page, keyboard help.
import type { ComponentChildren } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";
import { refused } from "./data/api";
import { helpOpen } from "./data/keys";
import { PAGES, param, path } from "./data/router";
import { AgentPage } from "./pages/agent";
import { CostsPage } from "./pages/costs";
import { FleetPage } from "./pages/fleet";
import { InsightsPage } from "./pages/insights";
import { KeysPage } from "./pages/keys";
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
  "/keys": KeysPage,
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
        {refused.value ? (
          <Refused />
        ) : (
          <Safe key={page + subject}>
            <View />
          </Safe>
        )}
      </main>
      {helpOpen.value && <Help />}
    </>
  );
}

/** One thing that cannot be shown must not take the whole page with it. */
function Safe({ children }: { children: ComponentChildren }) {
  const [error, again] = useErrorBoundary((failure) => console.warn(failure));
  if (!error) return <>{children}</>;
  return (
    <div class="teach refused" role="alert">
      <h1>This page could not be shown</h1>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <p>
        <button type="button" onClick={again}>
          Try again
        </button>
      </p>
    </div>
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
