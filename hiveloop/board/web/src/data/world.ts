// What test keys send is a world of its own. A page looks at one world for as long as it is open.

export const inTest = new URL(location.href).searchParams.get("world") === "test";

/** An address of the API, in the world that is looked at. */
export function ofWorld(address: string): string {
  return inTest ? `${address}${address.includes("?") ? "&" : "?"}world=test` : address;
}

/** Look at the other world: nothing of this one may stay in memory, so the page is loaded anew. */
export function enter(test: boolean): void {
  location.assign(test ? "/?world=test" : "/");
}
