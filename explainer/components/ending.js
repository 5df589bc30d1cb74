// How a component ends.

const GRACE_MS = 300;

/**
 * What a component returns to Streamlit, which calls it at the end: also at that of a run that a
 * newer one supersedes, before or after that one begins on the same elements. So only the last run
 * ends anything, and not at once while its elements are on the page.
 */
function ending(owner, leave) {
  owner.run = (owner.run ?? 0) + 1;
  const { run } = owner;
  const end = () => run === owner.run && leave();
  return () => (owner.isConnected ? setTimeout(end, GRACE_MS) : end());
}
