// Before anything is drawn: the theme that was chosen here before, if one was. Runs as a plain script, so that no page
// flashes in the other one first.
'use strict';
{
  const chosen = localStorage.getItem('theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
}
