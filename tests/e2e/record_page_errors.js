// Records script errors and CSP violations in `window.problems`, and layout shifts in `window.shifts`.
(() => {
  window.problems = [];
  document.addEventListener('securitypolicyviolation', (event) => window.problems.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
  window.addEventListener('error', (event) => window.problems.push(String(event.message)));
  window.addEventListener('unhandledrejection', (event) => window.problems.push(String(event.reason)));
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      window.shifts.push(`${entry.value}: ${entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName).join(', ')}`);
    }
  }).observe({ type: 'layout-shift', buffered: true });
})();
