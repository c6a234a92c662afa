// Applies the reader's theme before the page is painted. A theme in the address wins.
(() => {
  const root = document.documentElement;
  if (root.dataset.theme) return;
  try {
    const theme = localStorage.getItem('user-import-export-extension:theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  } catch {
    // Storage is not available: the system decides.
  }
})();
