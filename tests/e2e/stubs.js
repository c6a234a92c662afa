// Keeps what goes wrong in a page, and answers the two resources whose content a test must know.
(() => {
  window.problems = [];
  document.addEventListener('securitypolicyviolation', (event) => window.problems.push(`${event.violatedDirective}: ${event.blockedURI}`));
  window.addEventListener('error', (event) => window.problems.push(String(event.message)));
  window.addEventListener('unhandledrejection', (event) => window.problems.push(String(event.reason)));

  const transform = (name, origin, more = {}) => ({
    name, origin, version: '1.0.0', summary: `What ${name} does.`, documentation: `All about \`${name}\`.`,
    parameters: [{ name: 'value', type: 'text', optional: true, secret: false, description: 'What to change.' }],
    output: 'text', examples: [{ call: `${name}("a")`, gives: 'A' }], sha256: 'a'.repeat(64), size: 1234, ...more,
  });
  const KEY = 'test:transforms';
  const stored = () => JSON.parse(sessionStorage.getItem(KEY)) ?? [transform('mask_email', 'shipped')];
  const store = (list) => sessionStorage.setItem(KEY, JSON.stringify(list));
  const reply = (status, body) => new Response(body === undefined ? null : JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });

  function previewOf(request) {
    const fields = request.fields ?? [{ name: 'user.email', export_as: 'email' }];
    const wrong = fields.find(({ name }) => name.startsWith('nothing_like_this('));
    if (wrong) {
      return reply(400, {
        statusCode: 400, error: 'Bad Request', errorCode: 'invalid_expression',
        message: `Column ${JSON.stringify(wrong.export_as)}: There is no transform nothing_like_this.`, hint: 'Did you mean mask_email?',
      });
    }
    const kind = (name) => (name.includes('mask_email') ? 'transform' : name.includes('+') ? 'javascript' : 'path');
    const rows = [1, 2, 3].map((row) =>
      fields.map(({ name, export_as }) => (row === 2 && kind(name) === 'javascript' ? { error: 'TypeError: there is no name' } : { value: `${export_as} ${row}` })));
    return reply(200, { columns: fields.map(({ name, export_as }) => ({ name: export_as, kind: kind(name) })), rows, users: 3 });
  }

  const ask = window.fetch.bind(window);
  window.fetch = async (address, options = {}) => {
    const path = new URL(address, location.href).pathname;
    const method = options.method ?? 'GET';
    if (path === '/api/preview') return previewOf(JSON.parse(options.body));
    if (path === '/api/transforms' && method === 'GET') return reply(200, { transforms: stored(), problems: [], limits: { memory: 64e6, time_ms: 500, result: 1e6, file: 16e6 } });
    if (path === '/api/transforms' && method === 'POST') {
      const added = transform('shout', 'upload');
      store([...stored(), added]);
      return reply(201, added);
    }
    if (path.startsWith('/api/transforms/') && method === 'DELETE') {
      store(stored().filter(({ name }) => !path.endsWith(`/${name}`)));
      return reply(204);
    }
    return ask(address, options);
  };
})();
