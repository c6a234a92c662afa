// Applies the stored theme before the first paint. A theme in the URL takes precedence.
(() => {
  const root = document.documentElement;
  if (root.dataset.theme) return;
  try {
    const theme = localStorage.getItem('user-import-export-extension:theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  } catch {
    // Without storage the system setting applies.
  }
})();
