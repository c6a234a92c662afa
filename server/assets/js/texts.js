// Every text that the scripts show, in the language of the page.

const { texts } = await (document.documentElement.lang === 'de' ? import('./texts.de.js') : import('./texts.en.js'));

export { texts };
